"""What the PyTorch contestants share: inputs, precision, timing, and the protocol of bench/lib/child.js.

Numbers come from a 32-bit integer hash, bit for bit those of bench/lib/random.js, so that losses can be compared.
"""

import argparse
import base64
import contextlib
import json
import statistics
import sys
import time
from array import array

import torch

MASK = 0xFFFFFFFF
BATCH = 0.1  # seconds that a batch of calls should last
MOST = 256  # calls per batch


def uniform(count, seed, device):
    """`count` numbers uniform in [-1, 1), each exact in f32."""
    parts = []
    offset = (seed * 0x9E3779B9) & MASK
    for start in range(0, count, 1 << 24):  # in pieces: 64-bit integers take room
        i = torch.arange(start, min(count, start + (1 << 24)), dtype=torch.int64, device=device)
        h = (i + offset) & MASK
        h = ((h ^ (h >> 16)) * 0x7FEB352D) & MASK
        h = ((h ^ (h >> 15)) * 0x846CA68B) & MASK
        h = h ^ (h >> 16)
        parts.append(((h >> 8).double() / 2**23 - 1).float())
    return torch.cat(parts)


def resembling(x, seed):
    """Numbers that resemble x as the second view of an image does its first: 3/4 x plus noise."""
    return (0.75 * x.double() + 0.5 * uniform(x.numel(), seed, x.device).view_as(x).double()).float()


class Contestant:
    """One loss at one precision: its calls, their timing and their memory.

    build(problem, device) returns the loss as a function of tensors, these, and how many of them get a gradient.
    precision is f32 (strict), tf32 (matrix products on TF32 tensor cores) or bf16 (autocast).
    """

    def __init__(self, build, problem, how, precision, device):
        self.device = torch.device(device)
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        self.loss, self.inputs, wrt = build(problem, self.device)
        self.wrt = self.inputs[:wrt]
        for x in self.wrt:
            x.requires_grad_()
        if how == "compile":
            self.loss = torch.compile(self.loss, dynamic=False)
        self.autocast = (
            (lambda: torch.autocast(self.device.type, dtype=torch.bfloat16))
            if precision == "bf16"
            else contextlib.nullcontext
        )
        self.calls = {"forward": self.forward, "both": self.both}

    def forward(self):
        with torch.no_grad(), self.autocast():
            return self.loss(*self.inputs)

    def both(self):
        with self.autocast():
            loss = self.loss(*self.inputs)
        return loss.detach(), torch.autograd.grad(loss, self.wrt)

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def batch(self, what, count):
        """Milliseconds per call over a batch, by the clock and of CPU time."""
        call = self.calls[what]
        cpu, start = time.process_time(), time.perf_counter()
        for _ in range(count):
            call()
        self.wait()
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        return {"wall": 1000 * wall / count, "cpu": 1000 * cpu / count}

    def warm_up(self, what):
        """Compiles and warms up; says how many calls make a batch, their time, and the most bytes allocated at a time."""
        first = self.batch(what, 1)
        self.batch(what, 2)
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        wall = self.batch(what, 1)["wall"]
        peak = {"peak": torch.cuda.max_memory_allocated()} if cuda else {}
        count = min(MOST, max(1, round(1000 * BATCH / wall)))
        return {"count": count, "first": first["wall"], "wall": wall, **peak}

    def prepare(self, values):
        warm = {what: self.warm_up(what) for what in self.calls}
        loss, gradients = self.both()
        norm = torch.sqrt(sum((g.double() ** 2).sum() for g in gradients)).item()
        answer = {"device": describe(self.device), "warm": warm, "loss": loss.item(), "gradientNorm": norm}
        if values:
            numbers = (array("f", g.float().flatten().tolist()).tobytes() for g in gradients)
            answer["gradients"] = [base64.b64encode(b).decode() for b in numbers]
        return answer


def describe(device):
    if device.type != "cuda":
        return {"adapter": "cpu", "software": True}
    return {"adapter": torch.cuda.get_device_name(), "software": False, "driver": f"CUDA {torch.version.cuda}"}


def serve(build, device):
    """Answers the bench, one JSON object a line."""
    contestant = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "prepare":
                settings = command["settings"]
                contestant = Contestant(
                    build, command["problem"], settings["how"], settings["precision"], device
                )
                answer = contestant.prepare(command.get("values", False))
            else:
                answer = contestant.batch(command["what"], command["count"])
        except torch.cuda.OutOfMemoryError:
            answer = {"error": "out of GPU memory"}
        except Exception as error:  # whatever it is, the bench goes on without this contestant
            answer = {"error": f"{type(error).__name__}: {error}".split("\n")[0]}
        print(json.dumps({"answer": answer}), flush=True)


def main(build, problems, extend):
    """Serves the bench with --serve; by hand, prints one JSON line per size, way and precision."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--serve", action="store_true", help="answer bench/*.js on standard input")
    parser.add_argument("--how", default="eager,compile", help="eager, compile, or both")
    parser.add_argument("--precision", default="f32,tf32,bf16", help="f32 (strict), tf32, bf16 (autocast)")
    parser.add_argument("--runs", type=int, default=9, help="timed batches")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the program itself")
    extend(parser)
    flags = parser.parse_args()
    if flags.serve:
        return serve(build, flags.device)
    for problem in problems(flags):
        for how in flags.how.split(","):
            for precision in flags.precision.split(","):
                print(json.dumps(measure(build, problem, how, precision, flags)), flush=True)


def measure(build, problem, how, precision, flags):
    """One line of the standalone output."""
    torch.compiler.reset()
    line = {"problem": problem, "how": how, "precision": precision, "torch": torch.__version__}
    try:
        contestant = Contestant(build, problem, how, precision, flags.device)
        line.update(contestant.prepare(False))
        for what, warm in line["warm"].items():
            times = [contestant.batch(what, warm["count"])["wall"] for _ in range(flags.runs)]
            line[what] = {"median": statistics.median(times), "min": min(times), "max": max(times)}
    except torch.cuda.OutOfMemoryError:
        line["error"] = "out of GPU memory"
    return line
