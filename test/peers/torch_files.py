"""Fresh files of torch, torchvision and timm for test/convert-torch.test.ts: python torch_files.py FOLDER SEED

Writes each model with its input (NHWC) and output as raw float32, .in and .out, and the names as JSON to stdout.
"""
import json, logging, sys, warnings
warnings.filterwarnings('ignore')
logging.disable(logging.CRITICAL)
import torch, torchvision, timm
from torch import nn

FOLDER, SEED = sys.argv[1] + '/', int(sys.argv[2])
torch.manual_seed(SEED)
NAMES = []


def prepared(model):
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.weight.data.uniform_(.8, 1.2), m.bias.data.normal_(0, .1), m.running_mean.normal_(0, .1), m.running_var.uniform_(.7, 1.3)
    return model.eval()


def keep(name, model, write):
    write(FOLDER + name)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad(): y = model(x)
    x.numpy().transpose(0, 2, 3, 1).copy().tofile(FOLDER + name + '.in')
    y.numpy().tofile(FOLDER + name + '.out')
    NAMES.append(name)


v2 = prepared(torchvision.models.mobilenet_v2(weights=None, num_classes=10, width_mult=.35))
keep('parallel.pt', v2, lambda f: torch.save(nn.DataParallel(v2).state_dict(), f))
keep('legacy.pth', v2, lambda f: torch.save({'net': v2.state_dict(), 'acc': 1.0}, f, _use_new_zipfile_serialization=False))
keep('channels_last.pt', v2, lambda f: torch.save(v2.to(memory_format=torch.channels_last).state_dict(), f))
v3 = prepared(torchvision.models.mobilenet_v3_large(weights=None, num_classes=9, width_mult=.75))
keep('lightning.ckpt', v3, lambda f: torch.save({'state_dict': {'model.' + k: v for k, v in v3.state_dict().items()}, 'hyper_parameters': {'lr': .1}}, f))
for name, options in (('mobilenetv3_small_050', dict(dynamo=False, opset_version=13)), ('tf_efficientnet_lite0', dict(dynamo=False, opset_version=17)), ('mobilenetv4_conv_small', dict(dynamo=True, opset_version=18, external_data=False))):
    model = prepared(timm.create_model(name, num_classes=6))
    keep(name + '.onnx', model, lambda f: torch.onnx.export(model, (torch.randn(1, 3, 64, 64),), f, input_names=['input'], verbose=False, **options))
print('\n' + json.dumps(NAMES))
