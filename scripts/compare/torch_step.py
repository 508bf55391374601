"""A training step of the same nets in PyTorch and in maskline-training, in turn.

    python3 -m venv /tmp/torch && /tmp/torch/bin/pip install torch==2.9.1 numpy
    cargo build --release -p maskline-training --example torch_side
    /tmp/torch/bin/python scripts/compare/torch_step.py target/release/examples/torch_side --threads 2

Forward, cross-entropy without the pixels that have no label, backward, AdamW, on one batch of noise: no pictures are loaded.
Each side has a process of its own a net, waits while the other one works, and tells the most memory that it had. Both nets have
the same number of parameters, which is checked. `--channels-last` for the layout that PyTorch recommends on CPUs.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

CLASSES = 11
NETS = ("unet", "fpn")


def torch_net(kind):
    """The net of training/src/nets with a stem of stride 2 and its default widths."""
    import torch
    from torch import nn

    def unit(i, o):
        return nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True))

    def block(i, o):
        return nn.Sequential(unit(i, o), unit(o, o))

    def up(i, o):
        return nn.ConvTranspose2d(i, o, 2, stride=2)

    class Unet(nn.Module):
        def __init__(self, widths=(24, 48, 96, 128, 160)):
            super().__init__()
            self.stem = nn.PixelUnshuffle(2)
            self.encoder = nn.ModuleList(block(i, o) for i, o in zip((12, *widths), widths))
            pairs = list(zip(widths, widths[1:]))[::-1]
            self.ups = nn.ModuleList(up(coarse, fine) for fine, coarse in pairs)
            self.decoder = nn.ModuleList(block(2 * fine, fine) for fine, _ in pairs)
            self.pool = nn.MaxPool2d(2)
            self.head = up(widths[0], CLASSES)

        def forward(self, x):
            x, skips = self.stem(x), []
            for level, step in enumerate(self.encoder):
                if level:
                    skips.append(x)
                    x = self.pool(x)
                x = step(x)
            for lift, step, skip in zip(self.ups, self.decoder, reversed(skips)):
                x = step(torch.cat([skip, lift(x)], 1))
            return self.head(x)

    class Residual(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.first = unit(width, width)
            self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

        def forward(self, x):
            return torch.relu(self.second(self.first(x)) + x)

    class Fpn(nn.Module):
        def __init__(self, widths=(16, 48, 64, 96, 128), depths=(0, 1, 2, 3, 1)):
            super().__init__()
            self.stem, self.pool = nn.PixelUnshuffle(2), nn.MaxPool2d(2)
            levels = zip((12, *widths), widths, depths)
            self.encoder = nn.ModuleList(nn.Sequential(unit(i, o), *(Residual(o) for _ in range(d))) for i, o, d in levels)
            self.context = nn.Conv2d(widths[-1], widths[-1], 1)
            pairs = list(zip(widths, widths[1:]))[::-1]
            self.ups = nn.ModuleList(up(coarse, fine) for fine, coarse in pairs)
            self.laterals = nn.ModuleList(
                nn.Sequential(nn.Conv2d(fine, fine, 1, bias=False), nn.BatchNorm2d(fine)) for fine, _ in pairs
            )
            self.blends = nn.ModuleList(unit(fine, fine) for fine, _ in pairs)
            self.head = up(widths[0], CLASSES)

        def forward(self, x):
            x, skips = self.stem(x), []
            for level, step in enumerate(self.encoder):
                if level:
                    skips.append(x)
                    x = self.pool(x)
                x = step(x)
            x = x + self.context(x.mean((2, 3), keepdim=True))
            for lift, lateral, blend, skip in zip(self.ups, self.laterals, self.blends, reversed(skips)):
                x = blend(torch.relu(lateral(skip) + lift(x)))
            return self.head(x)

    return Unet() if kind == "unet" else Fpn()


def serve(kind, args):
    """What training/examples/step.rs does, in PyTorch."""
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    n, w, h = args.batch, args.width, args.height
    net = torch_net(kind).train()
    print(sum(p.numel() for p in net.parameters()), flush=True)
    images = torch.randn(n, 3, h, w)
    if args.channels_last:
        net, images = net.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
    i = torch.arange(n * h * w)
    labels = torch.where(i % 17 == 0, 255, i // 997 % CLASSES).reshape(n, h, w)
    groups = [
        {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": 1e-3},
        {"params": [p for p in net.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3)
    for line in sys.stdin:
        begun = time.perf_counter()
        for _ in range(int(line)):
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(net(images), labels, ignore_index=255).backward()
            optimizer.step()
        print(time.perf_counter() - begun, flush=True)
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), flush=True)


class Side:
    """A process that makes steps on request."""

    def __init__(self, command):
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.parameters = int(self.process.stdout.readline())
        self.seconds = []

    def steps(self, count):
        print(count, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def peak_mb(self):
        self.process.stdin.close()
        return int(self.process.stdout.readline())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", nargs="?", help="the built example `step`")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--width", type=int, default=352)
    parser.add_argument("--height", type=int, default=288)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=2, help="of a round")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--serve", choices=NETS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return serve(args.serve, args)
    if not args.step:
        parser.error("name the built example: target/release/examples/step")
    sizes = [args.threads, args.batch, args.width, args.height]
    for kind in NETS:
        options = ["--threads", args.threads, "--batch", args.batch, "--width", args.width, "--height", args.height]
        options += ["--channels-last"] if args.channels_last else []
        sides = {
            "PyTorch": Side([sys.executable, __file__, "--serve", kind, *options]),
            "maskline-training": Side([args.step, kind, *sizes]),
        }
        counts = {side.parameters for side in sides.values()}
        if len(counts) > 1:
            sys.exit(f"the {kind} nets differ: {counts} parameters")
        for side in sides.values():
            side.steps(1)  # the first one allocates
        for _ in range(args.rounds):
            for side in sides.values():
                side.seconds.append(side.steps(args.steps))
        for name, side in sides.items():
            images = args.batch * args.steps
            result = {
                "net": kind,
                "side": name,
                "images_per_s": round(images / statistics.median(side.seconds), 2),
                "best_images_per_s": round(images / min(side.seconds), 2),
                "rounds": args.rounds,
                "peak_mb": side.peak_mb(),
            }
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
