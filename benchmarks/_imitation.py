# SPDX-License-Identifier: Apache-2.0
"""CASC on YOLO-FastestV2 trained to answer as the original does; no labels are looked at."""

import dataclasses
import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from _boxes import compared, flat, nested, percent
from _coco import Coco
from torch import Tensor
from torch.utils.data import TensorDataset

import spikewright as sw
from spikewright.detection import Detections
from spikewright.simulators import settle
from spikewright.text import table
from spikewright.training import Imitation, TrainConfig
from spikewright.training.objectives.imitation import relative_error

__all__ = ["IMITATION_AIM", "imitation"]

TICKED = 2
"""Images on which ticks to rest are measured."""
IMITATION_AIM = {8: 12.0, 16: 14.5}
"""AP in per cent on val, by levels Q."""
OTHERWISE = 0.3
"""Weight of the relative error of whole maps."""
PASSES = {8: 40, 16: 16}
"""Passes over the pictures by levels Q, other Q as 8: coarse levels need more of them."""
RECIPE = TrainConfig(
    batch_size=8,
    lr=3e-4,
    optimizer="adamw",
    weight_decay=0.0,
    warmup=0.5,
    augment="flip",
)


def seen(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Return how far boxes, objectness and classes are off where the original sees something.

    Maps come as boxes, objectness and classes of each scale. An anchor counts as the root of its
    score, boxes and classes by the anchor's weight; of every map the relative error counts a
    little, so that what nobody looks at does not drift away.
    """
    total = relative_error(found, wanted) * OTHERWISE
    for first in (0, 3):
        (boxes, objects, classes), own = wanted[first : first + 3], found[first : first + 3]
        sure, likely = objects.sigmoid(), classes.softmax(1)
        weight = (sure * likely.amax(1, keepdim=True)).sqrt()
        framed = weight.repeat_interleave(4, 1) * (own[0].sigmoid() - boxes.sigmoid()).square()
        there = F.binary_cross_entropy_with_logits(own[1], sure, reduction="sum")
        least = F.binary_cross_entropy_with_logits(objects, sure, reduction="sum")
        best = weight.amax(1, keepdim=True)
        named = best * likely * (classes.log_softmax(1) - own[2].log_softmax(1))
        total = total + (40.0 * framed.sum() + 2.0 * (there - least)) / weight.sum()
        total = total + named.sum() / best.sum()
    return total


def imitation(coco: Coco, limit: int | None, levels: Sequence[int] = tuple(IMITATION_AIM)) -> int:
    """Print what CASC reaches after training by imitation; return how many aims are missed."""
    batches = coco.batches("val", limit)
    annotations = [a for _, images in batches for a in images]
    ann = [d for x, images in batches for d in coco.boxes(coco.original(x), images)]
    few = batches[0][0][:TICKED].double()
    images = TensorDataset(torch.stack([coco.train[i][0] for i in range(len(coco.train))]))
    rows, missed = [], 0
    for Q in levels:
        aim = IMITATION_AIM[Q]
        start, cpu = time.perf_counter(), time.process_time()
        trained = sw.train(
            coco.model,
            images,
            activation="casc",
            levels=Q,
            per_channel=True,
            calibration=coco.calibration(),
            objective=Imitation(coco.model, loss=seen),
            config=dataclasses.replace(RECIPE, epochs=PASSES.get(Q, PASSES[8])),
        )
        took = time.perf_counter() - start, time.process_time() - cpu
        exact = trained.model.double()
        snn = sw.convert(exact, "casc", T=Q, calibration=[few])
        equal, most, found = [], 0.0, list[Detections]()
        for x, given in batches:
            with torch.no_grad():
                wanted = flat(exact(x.double()))
            rest = settle(snn, x.double()).outputs
            pairs = list(zip(wanted, rest, strict=True))
            equal += [torch.equal(a, b) for a, b in pairs]
            most = max(most, *(float((a - b).abs().max()) for a, b in pairs))
            found += coco.boxes(nested(snn, rest), given)
        gap, scores, own = compared(coco, ann, found, annotations)
        ticks = sw.evaluate(snn, list(few.split(1)), task="outputs").lengths[0]
        reached = 100 * scores.ap
        missed += limit is None and reached < aim
        rows.append(
            [
                f"{Q}",
                *map(percent, (scores.ap, scores.ap50)),
                f"{100 * gap.ap.value:+.2f}",
                f"{aim} {'met' if reached >= aim else 'MISSED'}",
                *map(percent, (own.ap50, own.ap)),
                f"{sum(equal)} of {len(equal)}",
                f"{most:.0e}",
                *(f"{ticks.rest_step(share)}" for share in (0.5, 0.99, 1.0)),
                f"{ticks.steps}",
                f"{took[0]:.0f} s ({took[1]:.0f} s)",
            ]
        )
    print(f"\nCASC trained by imitation on train, at rest, {len(annotations)} images of val")
    head = "Q|AP|AP50|ΔAP|aim|fid. AP50|fid. AP|maps equal|largest difference"
    head += "|median|99 %|last|bound|training (CPU)"
    print(table(head.split("|"), rows, width=180, left=0))
    print(f"ticks to rest: the first {TICKED} images, tick by tick", flush=True)
    return missed
