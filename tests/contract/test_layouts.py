# SPDX-License-Identifier: Apache-2.0
"""Published models that move the batch about (channel splits, windows, clips) convert, equal."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright._vision import torchvision
from spikewright.network.twin import twin_outputs

pytestmark = pytest.mark.slow


def equal(model: nn.Module, x: Tensor, limit: float = 5e-3, **options: Any) -> sw.SpikingNetwork:
    """Convert with long trains, one scale a channel, and compare with the model on other inputs."""
    model = model.eval()
    snn = sw.convert(model, calibration=x, T=14, scale=sw.Max(), **options)
    other = x.flip(-1)[:3]
    with torch.no_grad():
        wanted = model(other)
    twin = twin_outputs(snn, snn.check_input(other))[0]
    assert float((twin - wanted).norm() / wanted.norm()) < 1e-4
    assert float((snn(other) - wanted).norm() / wanted.norm()) < limit
    assert sw.verify(snn, other[:2]).agrees
    return snn


def test_torchvisions_shufflenet() -> None:
    torch.manual_seed(0)
    model = torchvision().models.shufflenet_v2_x0_5(weights=None, num_classes=10).train()
    with torch.no_grad():
        model(torch.randn(16, 3, 32, 32))
    equal(model, torch.randn(8, 3, 32, 32), limit=5e-2)


class Windows(nn.Module):
    """One block of Swin's layout: shift, window partition, tokens, MLP, and all the way back.

    ReLU stands in the place of GELU, and attention is left out.
    """

    def __init__(self, dim: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.up, self.down = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        b, h, w, c = x.shape
        size = self.window
        y = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        y = y.view(b, h // size, size, w // size, size, c).permute(0, 1, 3, 2, 4, 5)
        y = y.reshape(b * (h // size) * (w // size), size * size, c)
        y = self.down(F.relu(self.up(y)))
        y = y.view(b, h // size, w // size, size, size, c).permute(0, 1, 3, 2, 4, 5)
        y = torch.roll(y.reshape(b, h, w, c), (self.shift, self.shift), (1, 2))
        return F.relu(x + y)


class Swin(nn.Module):
    """Patches, two windowed blocks with a patch merging between, a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.first, self.second = Windows(8, 4, 0), Windows(16, 2, 1)
        self.merge, self.head = nn.Linear(32, 16, bias=False), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(F.relu(self.embed(x)).permute(0, 2, 3, 1))
        corners = [y[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        y = self.second(F.relu(self.merge(torch.cat(corners, -1))))
        return self.head(y.mean((1, 2)))


def test_swins_window_partition_and_patch_merging() -> None:
    equal(Swin(), torch.rand(16, 3, 32, 32))


class Clip(nn.Module):
    """A 2-d network over frames in the batch, a temporal convolution over them, their mean."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.net = torchvision().models.resnet18(weights=None)
        self.net.fc = nn.Identity()
        self.time, self.head = nn.Conv1d(512, 32, 3, padding=1), nn.Linear(32, 4)

    def forward(self, clip: Tensor) -> Tensor:
        b, t = clip.shape[:2]
        features = self.net(clip.flatten(0, 1)).view(b, t, -1)
        return self.head(F.relu(self.time(features.transpose(1, 2))).mean(2))


def test_a_video_model_with_frames_in_the_batch() -> None:
    model = Clip().train()
    with torch.no_grad():
        model(torch.rand(4, 3, 3, 32, 32))
    equal(model, torch.rand(6, 3, 3, 32, 32), limit=5e-2)


def unit(i: int, o: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True) -> Any:
    layers = [nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False)]
    return [*layers, nn.BatchNorm2d(o), *([nn.ReLU(inplace=True)] if relu else [])]


class Shuffle(nn.Module):
    """A unit of ShuffleNetV2 with its authors' channel split, through the batch axis."""

    def __init__(self, i: int, mid: int, o: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.branch_main = nn.Sequential(
            *unit(i, mid, 1), *unit(mid, mid, 3, stride, mid, False), *unit(mid, o - i, 1)
        )
        if stride == 2:
            self.branch_proj = nn.Sequential(*unit(i, i, 3, 2, i, False), *unit(i, i, 1))

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            return torch.cat((self.branch_proj(x), self.branch_main(x)), 1)
        b, c, h, w = x.shape
        x = x.reshape(b * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, -1, c // 2, h, w)
        return torch.cat((x[0], self.branch_main(x[1])), 1)


class YoloFastestV2(nn.Module):
    """The detector of that name (dog-qiuqiu): ShuffleNetV2 body, light pyramid, six maps."""

    def __init__(self) -> None:
        super().__init__()
        body = self.backbone = nn.Module()
        body.first_conv, body.maxpool = nn.Sequential(*unit(3, 24, 3, 2)), nn.MaxPool2d(3, 2, 1)
        for number, i, o, count in ((2, 24, 48, 4), (3, 48, 96, 8), (4, 96, 192, 4)):
            more = [Shuffle(o // 2, o // 2, o, 1) for _ in range(count - 1)]
            setattr(body, f"stage{number}", nn.Sequential(Shuffle(i, o // 2, o, 2), *more))
        pyramid = self.fpn = nn.Module()
        pyramid.conv1x1_2 = nn.Sequential(*unit(288, 72, 1))
        pyramid.conv1x1_3 = nn.Sequential(*unit(192, 72, 1))
        for name in ("cls_head_2", "cls_head_3", "reg_head_2", "reg_head_3"):
            head = nn.Module()
            light = [*unit(72, 72, 5, 1, 72), *unit(72, 72, 1, relu=False)]
            head.block = nn.Sequential(
                *light, *unit(72, 72, 5, 1, 72), *unit(72, 72, 1, relu=False)
            )
            setattr(pyramid, name, head)
        self.output_reg_layers = nn.Conv2d(72, 12, 1)
        self.output_obj_layers, self.output_cls_layers = nn.Conv2d(72, 3, 1), nn.Conv2d(72, 80, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        body, pyramid = self.backbone, self.fpn
        x = body.stage2(body.maxpool(body.first_conv(x)))
        middle = body.stage3(x)
        last = body.stage4(middle)
        small = pyramid.conv1x1_3(last)
        large = pyramid.conv1x1_2(torch.cat((F.interpolate(last, scale_factor=2), middle), 1))
        maps = []
        for level, value in ((2, large), (3, small)):
            classes = getattr(pyramid, f"cls_head_{level}").block(value)
            boxes = getattr(pyramid, f"reg_head_{level}").block(value)
            maps += [self.output_reg_layers(boxes), self.output_obj_layers(classes)]
            maps.append(self.output_cls_layers(classes))
        return maps


def pictures(path: Path, count: int) -> Tensor:
    stored = np.load(path)
    at = stored["offsets"]
    images = [
        Image.open(io.BytesIO(stored["jpeg"][at[i] : at[i + 1]].tobytes())).convert("RGB")
        for i in range(count)
    ]
    pixels = [np.asarray(im.resize((352, 352), Image.Resampling.BILINEAR)) for im in images]
    return torch.from_numpy(np.stack(pixels)[..., ::-1].copy()).permute(0, 3, 1, 2) / 255.0


def test_a_published_detector_with_its_authors_channel_split(data_dir: Path) -> None:
    """All six maps of the trained network; wrong units made them worthless in silence once."""
    model = YoloFastestV2()
    weights = load_file(data_dir / "coco_yolo_fastestv2.safetensors")
    missing = model.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
    assert not missing.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    x = pictures(data_dir / "coco_train_128.npz", 24)
    snn = sw.convert(model.eval(), calibration=[x], T=16)
    other = pictures(data_dir / "coco_val_dev.npz", 4)
    with torch.no_grad():
        wanted = model(other)
    for found, one in zip(snn(other), wanted, strict=True):
        assert float((found - one).norm() / one.norm()) < 0.02
