//! Models inside the program, so that it works with no file at hand.

/// Name and ONNX bytes of each; the first is the default model.
const MODELS: &[(&str, &[u8])] = &[
    ("fpn-road", include_bytes!("../fpn-road.onnx")),
    ("fpn-road-int8", include_bytes!("../fpn-road-int8.onnx")),
    ("fpn-road-memory", include_bytes!("../fpn-road-memory.onnx")),
    ("attention-unet-road", include_bytes!("../attention-unet-road.onnx")),
    ("unet-road", include_bytes!("../unet-road.onnx")),
    ("fpn-road-scenes", include_bytes!("../fpn-road-scenes.onnx")),
    ("attention-unet-road-scenes", include_bytes!("../attention-unet-road-scenes.onnx")),
    ("unet-road-scenes", include_bytes!("../unet-road-scenes.onnx")),
];

/// The names, default first.
pub fn names() -> Vec<&'static str> {
    MODELS.iter().map(|(name, _)| *name).collect()
}

/// The ONNX bytes of a built-in model.
pub fn find(name: &str) -> Option<&'static [u8]> {
    MODELS.iter().find(|(n, _)| *n == name).map(|(_, bytes)| *bytes)
}

/// The name of the model that runs when nobody names one.
pub fn default() -> Option<&'static str> {
    MODELS.first().map(|(name, _)| *name)
}
