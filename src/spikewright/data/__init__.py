# SPDX-License-Identifier: Apache-2.0
"""Data sets: named ones, image folders and ``.npz`` files, all as (float32 tensor, class).

Thin loaders without downloads; what a network needs to see is one ``Preprocess``. Sets of texts
hold (text, class); a ``Tokeniser`` makes numbers of them.
"""

from spikewright.data.ag_news import TextSet as TextSet
from spikewright.data.ag_news import load_ag_news as load_ag_news
from spikewright.data.batches import loader as loader
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
from spikewright.data.preprocess import Preprocess as Preprocess
from spikewright.data.tokeniser import Tokeniser as Tokeniser
