"""NT-Xent in PyTorch, as its users write it: bench/ntxent.js runs it, or by hand: python3 bench/torch/ntxent.py --n 1024"""

import torch
import torch.nn.functional as F
from common import main, resembling, uniform


def build(problem, device):
    N, D, temperature, seed = (problem[key] for key in ("N", "D", "temperature", "seed"))
    z1 = uniform(N * D, seed, device).view(N, D)
    z2 = resembling(z1, seed + 1)
    itself = torch.eye(2 * N, dtype=torch.bool, device=device)
    positives = torch.arange(2 * N, device=device).roll(N)

    def loss(z1, z2):
        z = F.normalize(torch.cat([z1, z2]), dim=1)
        logits = (z / temperature) @ z.T
        return F.cross_entropy(logits.masked_fill(itself, float("-inf")), positives)

    return loss, [z1, z2], 2


def problems(flags):
    return [
        {"N": int(rows) // 2, "D": flags.d, "temperature": 0.5, "seed": 1} for rows in flags.n.split(",")
    ]


def extend(parser):
    parser.add_argument("--n", default="256,1024,4096,16384", help="rows 2N, a list")
    parser.add_argument("--d", type=int, default=128, help="features of a view")


if __name__ == "__main__":
    main(build, problems, extend)
