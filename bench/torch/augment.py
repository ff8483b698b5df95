"""Augmentation on the GPU by torchvision and kornia, beside bench/augment.js, which runs this program with its problems.

torchvision draws once for a batch; drawn for each image, as contrastive learning needs, it runs image by image. kornia draws
for each image of a batch. Prints a JSON line for each problem and way.
"""

import json
import sys

import torch
from common import uniform
from products import times


def torchvision_transform(recipe, kernel):
    from torchvision.transforms import v2

    jitter = recipe["jitter"]
    amounts = [jitter[kind] for kind in ("brightness", "contrast", "saturation", "hue")]
    steps = [
        v2.RandomResizedCrop(
            recipe["size"], scale=recipe["crop"]["scale"], ratio=recipe["crop"]["ratio"], antialias=False
        ),
        v2.RandomHorizontalFlip(recipe["flip"]),
        v2.RandomApply([v2.ColorJitter(*amounts)], p=jitter["p"]),
        v2.RandomGrayscale(recipe["grayscale"]),
    ]
    if kernel:
        blur = v2.GaussianBlur(kernel, sigma=recipe["blur"]["sigma"])
        steps.append(v2.RandomApply([blur], p=recipe["blur"]["p"]))
    if "normalize" in recipe:
        steps.append(v2.Normalize(recipe["normalize"]["mean"], recipe["normalize"]["std"]))
    return v2.Compose(steps)


def kornia_transform(recipe, kernel):
    import kornia.augmentation as K

    jitter, size = recipe["jitter"], recipe["size"]
    amounts = [jitter[kind] for kind in ("brightness", "contrast", "saturation", "hue")]
    steps = [
        K.RandomResizedCrop((size, size), scale=recipe["crop"]["scale"], ratio=recipe["crop"]["ratio"]),
        K.RandomHorizontalFlip(p=recipe["flip"]),
        K.ColorJitter(*amounts, p=jitter["p"]),
        K.RandomGrayscale(p=recipe["grayscale"]),
    ]
    if kernel:
        sigma = tuple(float(s) for s in recipe["blur"]["sigma"])
        steps.append(K.RandomGaussianBlur((kernel, kernel), sigma, p=recipe["blur"]["p"]))
    if "normalize" in recipe:
        mean, std = (torch.tensor(recipe["normalize"][key]) for key in ("mean", "std"))
        steps.append(K.Normalize(mean, std))
    return torch.nn.Sequential(*steps).cuda()


def ways(problem):
    """Names, and functions that make the call."""
    N, side = problem["N"], problem["side"]
    values = uniform(N * side * side * 3, 1, "cuda")
    images = ((values + 1) * 128).floor().to(torch.uint8).view(N, side, side, 3).permute(0, 3, 1, 2).contiguous()
    floats = lambda: images.float() / 255
    recipe, kernel = problem["recipe"], problem["kernel"]

    def per_batch():
        transform = torchvision_transform(recipe, kernel)
        return lambda: transform(floats())

    def per_image():
        transform = torchvision_transform(recipe, kernel)
        return lambda: torch.stack([transform(x) for x in floats()])

    def kornia():
        transform = kornia_transform(recipe, kernel)
        return lambda: transform(floats())

    return {"torchvision, one draw a batch": per_batch, "torchvision, image by image": per_image, "kornia": kornia}


def main():
    for index, problem in enumerate(json.loads(sys.argv[1])):
        for by, make in ways(problem).items():
            line = {"index": index, "by": by}
            try:
                with torch.no_grad():
                    line["ms"] = times(make())
            except ImportError as error:
                line["missing"] = f"not installed: {error.name}"
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
