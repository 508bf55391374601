"""The loop that most people would write: OpenCV capture, ONNX Runtime, numpy overlay, OpenCV writer.

What `maskline run` is compared with, on the same ONNX file:

    python3 -m venv /tmp/compare && /tmp/compare/bin/pip install numpy opencv-python-headless onnxruntime==1.31.1
    /tmp/compare/bin/python scripts/compare/python_loop.py models/unet-road.onnx VIDEO out.mp4

The picture is resized to the size that maskline takes for it (`--size`), and the overlay has the same palette and alpha.
The writer is OpenCV's MPEG-4 part 2: the PyPI wheel has no H.264 encoder. Audio is lost, as OpenCV does.
"""

import argparse
import json
import sys
import time

import cv2
import numpy as np
import onnxruntime as ort


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("video")
    parser.add_argument("output")
    parser.add_argument("--size", default="544x320", help="model input, WxH")
    parser.add_argument("--alpha", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=0, help="ONNX Runtime's threads; 0 leaves its default")
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

    frames, started = 0, time.perf_counter()
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        small = cv2.cvtColor(cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
        tensor = (small.astype(np.float32) * spec["scale"] - mean) / std
        tensor = np.ascontiguousarray(tensor.transpose(2, 0, 1)[None])
        ids = session.run([head["tensor"]], {spec["tensor"]: tensor})[0][0]
        mask = palette[cv2.resize(ids, frame_size, interpolation=cv2.INTER_NEAREST)]
        writer.write((frame * (1 - args.alpha) + mask * args.alpha).astype(np.uint8))
        frames += 1
    writer.release()
    seconds = time.perf_counter() - started
    print(json.dumps({"frames": frames, "seconds": round(seconds, 3), "frames_per_second": round(frames / seconds, 2)}))


if __name__ == "__main__":
    main()
