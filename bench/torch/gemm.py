"""Matrix products in PyTorch, beside bench/gemm.js, which runs this program with its problems as JSON."""

import torch

from products import main


def prepare(problem, make):
    M, K, N = problem["M"], problem["K"], problem["N"]
    a = make(1, (K, M)).t() if problem["transA"] else make(1, (M, K))
    b = make(2, (N, K)).t() if problem["transB"] else make(2, (K, N))
    return lambda: torch.matmul(a, b)


if __name__ == "__main__":
    main(prepare)
