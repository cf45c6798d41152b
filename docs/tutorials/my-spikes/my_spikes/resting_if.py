"""Integrate-and-fire with a refractory step: after a spike comes a rest."""

from torch import Tensor

from spikewright.neurons import Firing, State, Stepping


class RestingIF(Stepping):
    """v ← v + I;  s = [v ≥ θ and no spike in the step before];  v ← v - θ·s."""

    name = "resting-if"
    states = {"v": 0.0, "fired": 0.0}

    @staticmethod
    def step_(state: State, current: Tensor, firing: Firing, out: Tensor) -> Tensor:
        """Advance one step; currents and spikes are "batch *neuron"."""
        v, fired = state["v"], state["fired"]
        v.add_(current)  # first: out may be the memory of current
        out.copy_(v >= firing.threshold)
        if firing.signed:  # relays: an ON/OFF pair written as one neuron
            out.sub_((v <= -firing.threshold).to(v.dtype))
        out.mul_(1 - fired)
        v.sub_(out * firing.threshold)
        fired.copy_(out.abs())
        return out
