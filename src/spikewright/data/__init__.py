# SPDX-License-Identifier: Apache-2.0
"""Data sets: named ones, image folders and ``.npz`` files, as (float32 tensor, class).

Thin loaders without downloads; what a network needs to see is one ``Preprocess``. Sets of texts
hold (text, class); a ``Tokeniser`` makes numbers of them. Pictures with boxes (``detection``) are
(float32 tensor, ``Annotations``), pictures without labels (float32 tensor,).
"""

from spikewright.data.ag_news import TextSet as TextSet
from spikewright.data.ag_news import load_ag_news as load_ag_news
from spikewright.data.batches import collate as collate
from spikewright.data.batches import loader as loader
from spikewright.data.detection import DetectionSet as DetectionSet
from spikewright.data.detection import open_detection as open_detection
from spikewright.data.detection import pasted_digits as pasted_digits
from spikewright.data.digits import load_digits as load_digits
from spikewright.data.folder import from_folder as from_folder
from spikewright.data.images import ArraySet as ArraySet
from spikewright.data.images import ImageSet as ImageSet
from spikewright.data.named import default_preprocess as default_preprocess
from spikewright.data.named import describe as describe
from spikewright.data.named import named as named
from spikewright.data.named import names as names
from spikewright.data.named import resolve as resolve
from spikewright.data.named import text_names as text_names
from spikewright.data.named import texts as texts
from spikewright.data.npz import from_npz as from_npz
from spikewright.data.pictures import PictureSet as PictureSet
from spikewright.data.pictures import open_pictures as open_pictures
from spikewright.data.preprocess import Preprocess as Preprocess
from spikewright.data.tokeniser import Tokeniser as Tokeniser
