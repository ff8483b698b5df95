"""MoCo's InfoNCE in PyTorch, as its users write it: bench/infonce.js runs it, or by hand: python3 bench/torch/infonce.py --k 65536"""

import torch
import torch.nn.functional as F
from common import main, resembling, uniform


def build(problem, device):
    N, C, K, temperature, seed = (problem[key] for key in ("N", "C", "K", "temperature", "seed"))
    q = uniform(N * C, seed, device).view(N, C)
    k = resembling(q, seed + 1)
    queue = F.normalize(uniform(K * C, seed + 2, device).view(K, C), dim=1)
    first = torch.zeros(N, dtype=torch.long, device=device)

    def loss(q, k, queue):
        query, key = F.normalize(q, dim=1), F.normalize(k, dim=1)
        positive = torch.einsum("nc,nc->n", query, key).unsqueeze(1)
        negatives = torch.einsum("nc,kc->nk", query, queue)
        logits = torch.cat([positive, negatives], dim=1) / temperature
        return F.cross_entropy(logits, first)

    return loss, [q, k, queue], 1


def problems(flags):
    return [
        {"N": flags.n, "C": flags.c, "K": int(keys), "temperature": 0.07, "seed": 1}
        for keys in flags.k.split(",")
    ]


def extend(parser):
    parser.add_argument("--k", default="4096,65536,262144", help="keys in the queue, a list")
    parser.add_argument("--n", type=int, default=256, help="queries")
    parser.add_argument("--c", type=int, default=128, help="features")


if __name__ == "__main__":
    main(build, problems, extend)
