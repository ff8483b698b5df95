"""The training step of bench/step.js in PyTorch on CUDA: one line of JSON per arithmetic.

usage: python3 step.py MODEL STEM WIDTH BATCH SIZE RUNS     (resnet18 cifar 16 16 32 7)
"""

import json
import statistics
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

CLASSES, LR = 10, 0.05


def uniform(count, seed):
    """mulberry32, as bench/peers/step-data.js has it: the state only counts, so all numbers are made at once."""
    mask = np.uint64(0xFFFFFFFF)
    a = (np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x6D2B79F5)) & mask
    t = ((a ^ (a >> np.uint64(15))) * (a | np.uint64(1))) & mask
    t = ((t + (((t ^ (t >> np.uint64(7))) * (t | np.uint64(61))) & mask)) & mask) ^ t
    return (t ^ (t >> np.uint64(14))).astype(np.float64) / 4294967296


def randn(shape, seed, scale=1.0):
    """Normal numbers by Box and Muller, in pairs."""
    count = int(np.prod(shape))
    u = uniform(count + count % 2, seed)
    radius, angle = np.sqrt(-2 * np.log(1 - u[0::2])), 2 * np.pi * u[1::2]
    pairs = np.stack([scale * radius * np.cos(angle), scale * radius * np.sin(angle)], 1)
    return torch.from_numpy(pairs.reshape(-1)[:count].reshape(shape).astype(np.float32))


class Block(nn.Module):
    """A residual block: two 3x3 convolutions, or 1x1, 3x3 and 1x1 in a bottleneck, with the stride on the (first) 3x3."""

    def __init__(self, c, k, stride, bottleneck):
        super().__init__()
        out = 4 * k if bottleneck else k
        shapes = [(c, k, 1, 1), (k, k, 3, stride), (k, out, 1, 1)] if bottleneck else [(c, k, 3, stride), (k, k, 3, 1)]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, s, st, s // 2, bias=False) for i, o, s, st in shapes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, o, _, _ in shapes)
        self.shortcut = None
        if stride != 1 or c != out:
            self.shortcut = nn.Sequential(nn.Conv2d(c, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            y = norm(conv(y))
            if i + 1 < len(self.convs):
                y = F.relu(y)
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResNet(nn.Module):
    def __init__(self, model, stem, width):
        super().__init__()
        bottleneck = model == "resnet50"
        depths = {"resnet8": [1] * 3, "resnet18": [2] * 4, "resnet34": [3, 4, 6, 3], "resnet50": [3, 4, 6, 3]}[model]
        cifar = stem == "cifar"
        conv = nn.Conv2d(3, width, 3, 1, 1, bias=False) if cifar else nn.Conv2d(3, width, 7, 2, 3, bias=False)
        pool = [] if cifar else [nn.MaxPool2d(3, 2, 1)]
        layers, c = [conv, nn.BatchNorm2d(width), nn.ReLU(), *pool], width
        for stage, depth in enumerate(depths):
            for block in range(depth):
                k = width << stage
                layers.append(Block(c, k, 2 if stage > 0 and block == 0 else 1, bottleneck))
                c = 4 * k if bottleneck else k
        self.layers, self.fc = nn.Sequential(*layers), nn.Linear(c, CLASSES)
        self.seed_weights(c)

    def seed_weights(self, c):
        convs = [m for m in self.modules() if isinstance(m, nn.Conv2d)]
        with torch.no_grad():
            for i, conv in enumerate(convs):
                out, into, height, width = conv.weight.shape
                values = randn((height, width, into, out), 1000 + i, (2 / (height * width * into)) ** 0.5)
                conv.weight.copy_(values.permute(3, 2, 0, 1))
            self.fc.weight.copy_(randn((c, CLASSES), 2000, (1 / c) ** 0.5).T)
            self.fc.bias.zero_()

    def forward(self, x):
        return self.fc(self.layers(x).mean((2, 3)))


def measure(name, config, runs, *, tf32=False, amp=False, compiled=False):
    """Four losses from the seeded weights, then the median wall time of a step with the device idle before and after it."""
    model, stem, width, batch, size = config
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last if amp else torch.contiguous_format
    net = ResNet(model, stem, width).cuda().to(memory_format=layout).train()
    forward = torch.compile(net) if compiled else net
    optimizer = torch.optim.SGD(net.parameters(), LR)
    x = randn((batch, size, size, 3), 77).permute(0, 3, 1, 2).contiguous().cuda().to(memory_format=layout)
    y = torch.from_numpy((uniform(batch, 78) * CLASSES).astype(np.int64)).cuda()

    def step():
        with torch.autocast("cuda", torch.bfloat16, enabled=amp):
            loss = F.cross_entropy(forward(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    losses = [step().item() for _ in range(4)]
    for _ in range(10):
        step()
    torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(max(runs, 20)):
        torch.cuda.synchronize()
        start = time.perf_counter()
        step()
        torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    wall = statistics.median(times)
    result = {
        "library": f"PyTorch {torch.__version__}, {name}",
        "adapter": torch.cuda.get_device_name(),
        "losses": losses,
        "exact": not (tf32 or amp),
        "wallMs": wall,
        "viewsPerSecond": 1000 * batch / wall,
        "peakBytes": torch.cuda.max_memory_allocated(),
        "runs": len(times),
    }
    print(json.dumps(result), flush=True)


def main():
    model, stem, width, batch, size, runs = sys.argv[1:7]
    config = (model, stem, int(width), int(batch), int(size))
    for name, options in {
        "strict f32": {},
        "TF32": {"tf32": True},
        "AMP bf16, channels last": {"tf32": True, "amp": True},
        "AMP bf16, channels last, compiled": {"tf32": True, "amp": True, "compiled": True},
    }.items():
        measure(name, config, int(runs), **options)


if __name__ == "__main__":
    main()
