"""What the PyTorch programs of bench/gemm.js and bench/conv.js share: they get problems as JSON and print a line for each and
each precision: f32 (strict), tf32, f16, and bf16."""

import json
import statistics
import sys
import time

import torch

from common import uniform

BATCH = 0.1  # seconds that a batch of calls should last
RUNS = 9


def times(call):
    """Milliseconds per call: median, least and greatest of the batches."""
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    count = min(256, max(1, round(BATCH / (time.perf_counter() - start))))
    found = []
    for _ in range(RUNS):
        start = time.perf_counter()
        for _ in range(count):
            call()
        torch.cuda.synchronize()
        found.append(1000 * (time.perf_counter() - start) / count)
    return {"median": statistics.median(found), "min": min(found), "max": max(found)}


def main(prepare):
    """`prepare(problem, make, dtype)` returns the call; `make(seed, shape)` a tensor of the numbers that Kindred gets."""
    dtypes = {"f32": torch.float32, "tf32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    for index, problem in enumerate(json.loads(sys.argv[1])):
        for precision, dtype in dtypes.items():
            torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
            torch.backends.cudnn.benchmark = True

            def make(seed, shape, dtype=dtype):
                count = 1
                for size in shape:
                    count *= size
                return uniform(count, seed, "cuda").view(shape).to(dtype)

            call = prepare(problem, make)
            print(json.dumps({"index": index, "precision": precision, "ms": times(call)}), flush=True)
