# SPDX-License-Identifier: Apache-2.0
"""Models: the networks of the papers' tables, and ways to get at the user's own.

Nothing here changes a network; weights are loaded without executing anything pickled.
"""

from spikewright.models.detection import casc_yolo_resnet50 as casc_yolo_resnet50
from spikewright.models.detection import casc_yolo_vgg16 as casc_yolo_vgg16
from spikewright.models.detection import yolo_fastest_v2 as yolo_fastest_v2
from spikewright.models.detection import yolov8n_relu as yolov8n_relu
from spikewright.models.digits import digits_cnn as digits_cnn
from spikewright.models.exported import load_exported as load_exported
from spikewright.models.graph_json import GraphModel as GraphModel
from spikewright.models.graph_json import from_graph_json as from_graph_json
from spikewright.models.mobilenet_cifar import mobilenetv2_cifar as mobilenetv2_cifar
from spikewright.models.resnet_cifar import resnet20 as resnet20
from spikewright.models.resnet_cifar import resnet20_wide as resnet20_wide
from spikewright.models.resnet_cifar import resnet56 as resnet56
from spikewright.models.resolve import is_registered as is_registered
from spikewright.models.resolve import names as names
from spikewright.models.resolve import resolve as resolve
from spikewright.models.text_rnn import TextRNN as TextRNN
from spikewright.models.vgg_cifar import vgg11_cifar as vgg11_cifar
from spikewright.models.vgg_cifar import vgg11_half_cifar as vgg11_half_cifar
from spikewright.models.vgg_cifar import vgg16_cifar as vgg16_cifar
from spikewright.models.vit import vit_cifar as vit_cifar
from spikewright.models.vit import vit_mnist as vit_mnist
from spikewright.models.weights import apply_state as apply_state
from spikewright.models.weights import load_state as load_state
