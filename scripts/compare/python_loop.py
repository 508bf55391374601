"""The loop that most people would write: OpenCV capture, ONNX Runtime, numpy overlay, OpenCV writer.

What `maskline run` is compared with, on the same ONNX file:

    python3 -m venv /tmp/compare && /tmp/compare/bin/pip install numpy opencv-python-headless onnxruntime==1.31.1
    /tmp/compare/bin/python scripts/compare/python_loop.py models/unet-road.onnx VIDEO out.mp4

With --pipelined, reading and writing have threads of their own, with queues of two frames: what somebody writes who has
measured the loop once. The picture is resized to the size that maskline takes for it (`--size`), and the overlay has the same palette and alpha.
The writer is OpenCV's MPEG-4 part 2: the PyPI wheel has no H.264 encoder. Audio is lost, as OpenCV does.
"""

import argparse
import json
import queue
import sys
import threading
import time

import cv2
import numpy as np
import onnxruntime as ort


def read(capture):
    """The frames of a video in their order."""
    while True:
        ok, frame = capture.read()
        if not ok:
            return
        yield frame


def ahead(items, depth=2):
    """The same items, made by a thread that is so many of them ahead."""
    waiting = queue.Queue(depth)

    def fill():
        try:
            for item in items:
                waiting.put((item, None))
            waiting.put((None, StopIteration()))
        except Exception as error:
            waiting.put((None, error))

    threading.Thread(target=fill, daemon=True).start()
    while True:
        item, ended = waiting.get()
        if isinstance(ended, StopIteration):
            return
        if ended is not None:
            raise ended
        yield item


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("video")
    parser.add_argument("output")
    parser.add_argument("--size", default="544x320", help="model input, WxH")
    parser.add_argument("--alpha", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=0, help="ONNX Runtime's threads; 0 leaves its default")
    parser.add_argument("--pipelined", action="store_true", help="read and write in threads of their own")
    args = parser.parse_args()
    width, height = (int(n) for n in args.size.split("x"))

    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = ort.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])
    contract = json.loads(session.get_modelmeta().custom_metadata_map["maskline"])
    spec, head = contract["input"], contract["head"][0]
    mean = np.array(spec["mean"], np.float32)
    std = np.array(spec["std"], np.float32)
    palette = np.zeros((256, 3), np.uint8)
    for entry in head["class"]:
        palette[entry["id"]] = [int(entry["color"][i : i + 2], 16) for i in (5, 3, 1)]  # BGR, as OpenCV draws

    capture = cv2.VideoCapture(args.video)
    if not capture.isOpened():
        sys.exit(f"cannot open {args.video}")
    frame_size = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    writer = cv2.VideoWriter(args.output, cv2.VideoWriter_fourcc(*"mp4v"), capture.get(cv2.CAP_PROP_FPS), frame_size)

    def masked(frames):
        for frame in frames:
            small = cv2.cvtColor(cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
            tensor = (small.astype(np.float32) * spec["scale"] - mean) / std
            tensor = np.ascontiguousarray(tensor.transpose(2, 0, 1)[None])
            ids = session.run([head["tensor"]], {spec["tensor"]: tensor})[0][0]
            mask = palette[cv2.resize(ids, frame_size, interpolation=cv2.INTER_NEAREST)]
            yield (frame * (1 - args.alpha) + mask * args.alpha).astype(np.uint8)

    overlap = ahead if args.pipelined else iter
    frames, started = 0, time.perf_counter()
    # The main thread writes, so that the file is complete when the last frame is counted.
    for frame in overlap(masked(overlap(read(capture)))):
        writer.write(frame)
        frames += 1
    writer.release()
    seconds = time.perf_counter() - started
    print(json.dumps({"frames": frames, "seconds": round(seconds, 3), "frames_per_second": round(frames / seconds, 2)}))


if __name__ == "__main__":
    main()
