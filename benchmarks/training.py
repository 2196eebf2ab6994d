"""Training speed of the 13-epoch CNN at batch 32: Keras on TensorFlow against the same network in eager PyTorch.

    python benchmarks/training.py

Every variant lives in a process of its own that waits while another one works; they take turns, five rounds of 64
steps each after a warm-up. The machine's ceiling is a product of two 2,048 × 2,048 matrices, measured in turn with
them. Needs the extra [benchmark]. Writes benchmarks/training.json.
"""

import json
import multiprocessing
import os
import statistics
import time
from pathlib import Path

BATCH, STEPS, ROUNDS = 32, 64, 5


def keras_worker(pipe, precision: str, steps_per_execution: int) -> None:
    """Runs STEPS training steps through `fit` whenever told to; answers with milliseconds a step."""
    from fer_common import pipeline
    from fer_common.data import synthetic
    from reproductions import cnn_13_epochs

    pipeline.start(None)
    import keras

    keras.config.set_dtype_policy(precision)
    faces = synthetic.draw(BATCH * STEPS)
    setup = cnn_13_epochs.PAPER.systems["cnn"]
    model = cnn_13_epochs.build_model(setup)
    model.compile(
        optimizer=cnn_13_epochs.build_optimizer(setup),
        loss=setup.loss,
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )
    rows = range(len(faces))
    epochs = ROUNDS + 1
    batches, steps = pipeline.shuffled(faces.images, faces.labels, rows, batch_size=BATCH, seed=0, epochs=epochs)

    class Turns(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            pipe.recv()
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            pipe.send(1000 * (time.perf_counter() - self.start) / STEPS)

    model.fit(batches, steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=0, callbacks=[Turns()])


def torch_worker(pipe, precision: str) -> None:
    """The same network, batches, loss and optimizer in eager PyTorch, channels last."""
    import numpy as np
    import torch
    from torch import nn

    from fer_common.data import synthetic

    torch.manual_seed(0)
    layers, channels = [], 1
    for filters in (32, 64, 128):
        layers += [
            nn.Conv2d(channels, filters, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(filters),
        ]
        channels = filters
    layers.append(nn.Flatten())
    width = 6 * 6 * channels
    for units, dropout in zip((256, 128, 64, 32), (0.25, 0.25, 0.25, 0.4)):
        layers += [nn.Linear(width, units), nn.LeakyReLU(0.01), nn.BatchNorm1d(units), nn.Dropout(dropout)]
        width = units
    model = nn.Sequential(*layers, nn.Linear(width, 7)).to(memory_format=torch.channels_last)
    assert sum(p.numel() for p in model.parameters()) + 2 * (32 + 64 + 128 + 256 + 128 + 64 + 32) == 1318855
    optimizer, loss_of = torch.optim.Adam(model.parameters(), 0.001), nn.CrossEntropyLoss()
    faces = synthetic.draw(BATCH * STEPS)
    images, labels = torch.from_numpy(faces.images), torch.from_numpy(faces.labels.astype(np.int64))
    for _ in range(ROUNDS + 1):
        pipe.recv()
        start = time.perf_counter()
        right = 0
        for rows in torch.randperm(len(labels)).split(BATCH):
            batch = (images[rows].float() / 255).unsqueeze(1).to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                scores = model(batch)
            loss = loss_of(scores.float(), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            right += (scores.argmax(1) == labels[rows]).sum().item()
        pipe.send(1000 * (time.perf_counter() - start) / STEPS)


def ceiling_worker(pipe, precision: str) -> None:
    """Answers with GFLOP/s of a 2,048 × 2,048 matrix product in PyTorch."""
    import torch

    a = torch.rand(2048, 2048).to(getattr(torch, precision))
    for _ in range(ROUNDS + 1):
        pipe.recv()
        start = time.perf_counter()
        for _ in range(5):
            a @ a
        pipe.send(5 * 2 * 2048**3 / (time.perf_counter() - start) / 1e9)


VARIANTS = {
    "PyTorch eager, float32": (torch_worker, "float32"),
    "Keras, float32": (keras_worker, "float32", 1),
    "Keras, float32, 8 steps per execution": (keras_worker, "float32", 8),
    "Keras, mixed bfloat16": (keras_worker, "mixed_bfloat16", 1),
    "PyTorch eager, autocast bfloat16": (torch_worker, "bfloat16"),
}
CEILINGS = {"float32": (ceiling_worker, "float32"), "bfloat16": (ceiling_worker, "bfloat16")}


def main() -> None:
    spawn = multiprocessing.get_context("spawn")
    pipes = {}
    for name, (worker, *arguments) in {**VARIANTS, **CEILINGS}.items():
        pipes[name], theirs = spawn.Pipe()
        spawn.Process(target=worker, args=(theirs, *arguments), daemon=True).start()
    found = {name: [] for name in pipes}
    for round_number in range(ROUNDS + 1):
        for name, pipe in pipes.items():
            pipe.send("go")
            answer = pipe.recv()
            if round_number:  # the first round warms up
                found[name].append(answer)
    median = {name: statistics.median(values) for name, values in found.items()}
    peer = median["PyTorch eager, float32"]
    result = {
        "cores": len(os.sched_getaffinity(0)),
        "batch": BATCH,
        "matrix_product_gflops": {name: round(median[name]) for name in CEILINGS},
        "variants": {
            name: {
                "ms_per_step": round(median[name], 1),
                "speed_against_pytorch_float32": round(peer / median[name], 2),
            }
            for name in VARIANTS
        },
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
