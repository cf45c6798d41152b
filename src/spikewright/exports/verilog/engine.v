// SPDX-License-Identifier: Apache-2.0
// The machine that computes layers: event-driven over the spikes of its inputs, L channels at once.
//
// A row of memory holds the words of neighbouring channels at one place; a word is a sign above the
// spikes of a train, first one highest (of other values: their magnitude). For every place and block
// of L channels the machine walks through the windows of a layer's terms. The front reads a row while
// the spikes of the last one are added, one spike a cycle; rows and words without spikes take none.
// The back fires the block that is complete meanwhile, all lanes at once, one step a cycle.
//
// `settings` is what term number `term` is, one field of F bits after the other. Modes of a term:
//   0  every spike goes to all lanes, each with a weight of its own (convolution, linear)
//   1  every lane reads its own word (depthwise convolution, sums over windows, shortcuts)
//   2  the same, of words that a table finds anywhere (slices, shuffles, concatenation)
//   3  every lane keeps the largest word (the max gate: trains order like their words)
module engine #(parameter
  L = 1, P = 1,             // lanes; words of a row, at least L
  W = 8, T = 8, V = 24,     // bits of a word without its sign; steps; bits of a sum
  D = 8, O = 8,             // bits of a weight for all lanes, of one for its own word
  B = 8, H = 8, C = 8,      // bits of a bias, threshold, pre-bias
  Q = 9, F = 12, N = 1      // bits of a word that is written; of a setting, of an address; settings
)(
  input clk, input rst, input start, output reg done,
  output [F-1:0] term, input [N*F-1:0] settings,
  output re, output [F-1:0] ra, input [P*(W+1)-1:0] rd,
  output [F-1:0] da, input [L*D-1:0] dq,
  output [F-1:0] oa, input [L*O-1:0] oq,
  output [F-1:0] ia, input [2*F:0] iq,
  output [F-1:0] pa, input [L*B-1:0] bq, input [L*H-1:0] hq, input [L*C-1:0] cq,
  output reg we, output [F-1:0] wa, output reg [L*Q-1:0] wd, output reg [L*V-1:0] wv
);
  // FIELDS
  localparam IDLE = 0, TERM = 1, WALK = 2, ENDS = 3, REST = 4;
  localparam signed [V-1:0] LEAST = {1'b1, {(V-1){1'b0}}};
  integer i, k;

  // Front: where the window is, and which row of it is read.
  reg [2:0] st; reg timed;
  reg [F-1:0] at, base, x, y, block, nth, kr, kq, row, wp;
  reg signed [F+1:0] r, q, ta, line;
  wire signed [F+1:0] q0 = $signed({2'b0, x}) * $signed({2'b0, sx}) - $signed({2'b0, px});
  wire [F+1:0] corner = src + y * sline + x * scol + ((block * skip) >> by) - off;
  wire valid = r >= 0 && r < $signed({2'b0, h}) && q >= 0 && q < $signed({2'b0, w});
  wire gather = mode == 2;
  reg have; reg [F-1:0] tag;
  wire taken, fetch = st == WALK && !gather && (!have || taken);
  // A gather finds a word a cycle: asked for, told by the table, read.
  reg told, fetched, absent; reg [F-1:0] g, lane1, lane2, sub; reg [L*(W+1)-1:0] built;
  assign term = at, ia = ibase + nth * L + g, re = gather || fetch;
  assign ra = gather ? src + iq[F-1:0] : ta[F-1:0] + row;

  // Middle: what is left of the row that was read, and the spike that is next.
  reg full, hit; reg [F-1:0] wtag, c, bit_at, shift;
  reg [P*W-1:0] left, come, rest; reg [P-1:0] minus, sign; reg [L-1:0] own, down;
  reg [W-1:0] word, lowest;
  always @* begin
    come = 0; sign = 0;
    if (have && !gather) for (i = 0; i < P; i = i + 1) begin
      come[i*W +: W] = rd[i*(W+1) +: W]; sign[i] = rd[i*(W+1) + W];
    end
    if (have && gather) for (i = 0; i < L; i = i + 1) begin
      come[i*W +: W] = built[i*(W+1) +: W]; sign[i] = built[i*(W+1) + W];
    end
    word = 0; c = 0; bit_at = 0; rest = left;
    if (full) begin
      for (i = P - 1; i >= 0; i = i - 1)
        if (mode != 0) word = word | left[i*W +: W];
        else if (left[i*W +: W] != 0) begin word = left[i*W +: W]; c = i; end
      for (k = W - 1; k >= 0; k = k - 1) if (word[k]) bit_at = k;
    end
    lowest = word & (~word + 1'b1);
    if (mode != 0) rest = left & ~{P{lowest}};
    else if (full) for (i = 0; i < P; i = i + 1)
      if (c == i) rest[i*W +: W] = word & ~lowest;
  end
  wire over = mode == 3 || rest == 0;
  assign taken = have && (!full || over), da = wtag + c, oa = wtag;

  // Sums, and what becomes of those of a block.
  reg [L*V-1:0] acc, v, now; reg signed [V-1:0] sum, weight, value;
  reg [2:0] bt; reg [F-1:0] t; reg [L-1:0] below; reg [L*T-1:0] train;
  reg [F-1:0] pr, wr;
  wire drained = st == ENDS && !have && !full && !hit, multiply = drained && times != 0 && !timed;
  wire hand = drained && !multiply && last != 0 && bt == 0;
  assign pa = pr, wa = wr;

  always @(posedge clk) begin
    if (taken) begin
      left <= come; minus <= sign; wtag <= tag; full <= mode == 3 || come != 0;
    end else if (full) begin
      left <= rest; full <= !over;
    end
    hit <= full && mode != 3; shift <= bit_at;
    if (full) for (i = 0; i < L; i = i + 1) begin
      own[i] <= mode == 0 || (left[i*W +: W] & lowest) != 0;
      down[i] <= mode == 0 ? minus[c] : minus[i];
    end
    if (st == TERM && at == base) acc <= {L{mode == 3 ? LEAST : {V{1'b0}}}};
    else if (hit || full && mode == 3 || multiply) for (i = 0; i < L; i = i + 1) begin
      sum = acc[i*V +: V];
      weight = mode == 0 ? $signed(dq[i*D +: D]) : $signed(oq[i*O +: O]);
      value = left[i*W +: W];
      if (minus[i]) value = -value;
      if (multiply) sum = (sum <<< T) - sum;
      else if (mode == 3) sum = value > sum ? value : sum;
      else if (own[i]) sum = down[i] ? sum - (weight <<< shift) : sum + (weight <<< shift);
      acc[i*V +: V] <= sum;
    end
    told <= st == WALK && gather && g < L; lane1 <= g;
    fetched <= told; lane2 <= lane1; sub <= iq[2*F-1:F]; absent <= iq[2*F];
    if (fetched) for (i = 0; i < L; i = i + 1)
      if (lane2 == i) built[i*(W+1) +: W+1] <= absent ? 0 : rd[sub*(W+1) +: W+1];

    if (taken) have <= 0;
    case (st)
      IDLE: if (start) begin
        done <= 0; at <= 0; base <= 0; x <= 0; y <= 0; block <= 0; nth <= 0; st <= TERM;
      end
      TERM: begin
        r <= $signed({2'b0, y}) * $signed({2'b0, sy}) - $signed({2'b0, py});
        q <= q0; kr <= 0; kq <= 0; row <= 0; g <= 0; timed <= 0;
        ta <= corner; line <= corner; wp <= wbase + (wplace != 0 ? nth : block * wblock);
        st <= WALK;
      end
      WALK: if (gather) begin
        if (g < L) g <= g + 1;
        else if (!told && !fetched) begin have <= 1; tag <= wp; st <= ENDS; end
      end else if (fetch) begin
        have <= valid; tag <= wp;
        if (valid && row != rows - 1'b1) begin row <= row + 1; wp <= wp + wrow; end
        else begin
          row <= 0; wp <= wp + (valid ? wrow : wtap);
          if (kq != kw - 1'b1) begin
            kq <= kq + 1; q <= q + $signed({2'b0, dx}); ta <= ta + dcol;
          end else begin
            kq <= 0; q <= q0; kr <= kr + 1; r <= r + $signed({2'b0, dy});
            ta <= line + dline; line <= line + dline;
            if (kr == kh - 1'b1) st <= ENDS;
          end
        end
      end
      ENDS: if (drained) begin
        if (multiply) timed <= 1;
        else if (last == 0) begin at <= at + 1; st <= TERM; end
        else if (hand) begin
          nth <= nth + 1; st <= TERM;
          if (block != blocks - 1'b1) block <= block + 1;
          else begin
            block <= 0; x <= x + 1;
            if (x == nx - 1'b1) begin
              x <= 0; y <= y + 1;
              if (y == ny - 1'b1) st <= REST;
            end
          end
          at <= block == blocks - 1'b1 && x == nx - 1'b1 && y == ny - 1'b1 ? at : base;
        end
      end
      REST: if (bt == 0) begin
        x <= 0; y <= 0; block <= 0; nth <= 0;
        if (halt != 0) begin done <= 1; st <= IDLE; end
        else begin at <= at + 1; base <= at + 1; st <= TERM; end
      end
      default: st <= IDLE;
    endcase

    we <= bt == 6; bt <= bt == 6 ? 0 : bt + (bt != 0);
    case (bt)
      0: if (hand) begin
        v <= acc; wr <= obase + nth; pr <= pbase + (pplace != 0 ? nth : block); bt <= 1;
      end
      2: begin
        for (i = 0; i < L; i = i + 1) begin
          value = $signed(bq[i*B +: B]);
          v[i*V +: V] <= v[i*V +: V] + value;
        end
        if (kind == 3) bt <= 6;
      end
      3: begin
        for (i = 0; i < L; i = i + 1) begin
          sum = v[i*V +: V]; value = 0;
          if (kind == 1 || kind == 2 && sum != 0) value = $signed(cq[i*C +: C]);
          below[i] <= kind != 1 && sum < 0;
          v[i*V +: V] <= (kind != 1 && sum < 0 ? -sum : sum) + value;
          value = $signed(hq[i*H +: H]);
          now[i*V +: V] <= value <<< (T - 1);
        end
        t <= T - 1; if (kind == 0) bt <= 6;
      end
      4: begin
        for (i = 0; i < L; i = i + 1) begin
          sum = v[i*V +: V]; value = now[i*V +: V];
          now[i*V +: V] <= value >>> 1;
          train[i*T +: T] <= (train[i*T +: T] << 1) | (sum >= value);
          if (sum >= value) v[i*V +: V] <= sum - value;
        end
        t <= t - 1; bt <= t == 0 ? 6 : 4;
      end
      6: begin
        wv <= v;
        for (i = 0; i < L; i = i + 1)
          if (kind == 0) wd[i*Q +: Q] <= {below[i], v[i*V +: Q-1]};
          else begin
            wd[i*Q +: Q] <= train[i*T +: T];
            if (Q > T) wd[i*Q + Q - 1] <= below[i] && train[i*T +: T] != 0;
          end
      end
      default: ;
    endcase
    if (rst) begin st <= IDLE; done <= 0; have <= 0; full <= 0; bt <= 0; end
  end
endmodule

// Words of another size: N words of A bits, with S a sign above them, as M words of E bits, R.
module words #(parameter N = 1, A = 8, S = 0, M = 1, E = 8, R = 1)
  (input [N*(A+S)-1:0] from, output [M*(E+R)-1:0] to);
  genvar i;
  generate for (i = 0; i < M; i = i + 1) begin : each
    wire [E-1:0] size; wire sign;
    if (i < N) begin : there
      wire [A-1:0] own = from[i*(A+S) +: A];
      assign size = own;
      assign sign = S != 0 && from[i*(A+S) + A + S - 1];
    end else begin : none
      assign size = 0, sign = 0;
    end
    assign to[i*(E+R) +: E] = size;
    if (R != 0) assign to[i*(E+R) + E] = sign;
  end endgenerate
endmodule
