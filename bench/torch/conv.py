"""Convolutions and their gradients in PyTorch, channels last, beside bench/conv.js, which runs this program with its problems."""

import torch

from products import main


def prepare(problem, make):
    N, H, C, K, kernel, out = (problem[key] for key in ("N", "H", "C", "K", "kernel", "out"))
    last = torch.channels_last
    x = make(1, (N, H, H, C)).permute(0, 3, 1, 2).contiguous(memory_format=last)
    w = make(2, (kernel, kernel, C, K)).permute(3, 2, 0, 1).contiguous(memory_format=last)
    dy = make(3, (N, out, out, K)).permute(0, 3, 1, 2).contiguous(memory_format=last)
    stride, padding = [problem["stride"]] * 2, [problem["padding"]] * 2
    if problem["pass"] == "forward":
        return lambda: torch.nn.functional.conv2d(x, w, stride=stride, padding=padding)
    wanted = [problem["pass"] == "data", problem["pass"] == "weight", False]
    return lambda: torch.ops.aten.convolution_backward(
        dy, x, w, None, stride, padding, [1, 1], False, [0, 0], 1, wanted
    )


if __name__ == "__main__":
    main(prepare)
