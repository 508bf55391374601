use super::*;
use crate::nets::{Encoder, Kind as NetKind, NetConfig, Normalisation};

/// Named tensors as a file has them: name, shape, numbers.
pub(crate) type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// Length of a JSON header, the header, and all numbers in one piece.
pub(crate) fn safetensors(tensors: &Tensors) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape, numbers) in tensors {
        let start = data.len();
        data.extend(bytes(numbers));
        header.insert(
            name.clone(),
            serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}),
        );
    }
    let header = serde_json::Value::Object(header).to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// What `torch.save(model.state_dict(), ...)` writes: a zip file without compression with a pickle and one file a storage.
fn pth(tensors: &Tensors) -> Vec<u8> {
    pth_of(tensors, "FloatStorage", b"")
}

/// The same with storages of that type, and `before` in the pickle in front of the tensors.
fn pth_of(tensors: &Tensors, storage: &str, before: &[u8]) -> Vec<u8> {
    let mut pickle = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec(); // protocol 2, an empty OrderedDict, a mark
    pickle.extend(before);
    for (number, (name, shape, numbers)) in tensors.iter().enumerate() {
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(format!("ctorch\n{storage}\n").bytes());
        text(&mut pickle, &number.to_string());
        text(&mut pickle, "cpu");
        integer(&mut pickle, numbers.len());
        pickle.extend(b"tQ"); // the storage, by its persistent id
        integer(&mut pickle, 0);
        let strides: Vec<usize> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
        for list in [shape, &strides] {
            pickle.push(b'(');
            list.iter().for_each(|n| integer(&mut pickle, *n));
            pickle.push(b't');
        }
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR"); // needs no gradient, has no hooks
    }
    pickle.extend(b"u."); // all pairs since the mark
    let mut files = vec![("archive/data.pkl".to_owned(), pickle), ("archive/version".into(), b"3\n".to_vec())];
    for (number, (_, _, numbers)) in tensors.iter().enumerate() {
        files.push((format!("archive/data/{number}"), bytes(numbers)));
    }
    zip(&files)
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.bytes());
}

fn integer(pickle: &mut Vec<u8>, number: usize) {
    pickle.push(b'J');
    pickle.extend((number as u32).to_le_bytes());
}

/// A zip file of stored entries.
fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in files {
        let size = (data.len() as u32).to_le_bytes();
        // version, flags, method, time, date, checksum, both sizes, length of the name, no extra field
        let about = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &crc32(data).to_le_bytes(),
            &size,
            &size,
            &(name.len() as u16).to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        let offset = (out.len() as u32).to_le_bytes();
        directory.extend([&b"PK\x01\x02\x14\0"[..], &about, &[0; 10], &offset, name.as_bytes()].concat());
        out.extend([b"PK\x03\x04", &about[..], name.as_bytes(), data].concat());
    }
    let (start, count) = ((out.len() as u32).to_le_bytes(), (files.len() as u16).to_le_bytes());
    out.extend(&directory);
    out.extend(
        [
            &b"PK\x05\x06\0\0\0\0"[..],
            &count,
            &count,
            &(directory.len() as u32).to_le_bytes(),
            &start,
            &[0, 0],
        ]
        .concat(),
    );
    out
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| (c >> 1) ^ (0xedb8_8320 * (c & 1)))
    })
}

/// A tiny FCN with two, one and two convolutions in its stages.
fn tiny(normalisation: Normalisation) -> NetConfig {
    NetConfig {
        widths: vec![3, 4, 5, 6],
        depths: vec![2, 1, 2, 1],
        normalisation,
        ..NetConfig::new(NetKind::Fcn)
    }
}

/// What a file for the tiny net holds, beside a classifier: every number is another one, and none is an ordinary first value.
fn file(normalisation: Normalisation) -> Tensors {
    let mut number = 0.0;
    let mut tensor = |name: String, shape: &[usize]| {
        let numbers = (0..shape.iter().product::<usize>())
            .map(|_| {
                number += 1.0;
                number / 8.0
            })
            .collect();
        (name, shape.to_vec(), numbers)
    };
    let mut tensors = Vec::new();
    let (plain, normalised) = ([0, 2, 5, 8, 10], [0, 3, 7, 11, 14]);
    for (at, [input, output]) in [[3, 3], [3, 3], [3, 4], [4, 5], [5, 5]].into_iter().enumerate() {
        let batch = normalisation == Normalisation::Batch;
        let place = if batch { normalised[at] } else { plain[at] };
        tensors.push(tensor(format!("features.{place}.weight"), &[output, input, 3, 3]));
        tensors.push(tensor(format!("features.{place}.bias"), &[output]));
        for name in ["weight", "bias", "running_mean", "running_var"].iter().filter(|_| batch) {
            tensors.push(tensor(format!("features.{}.{name}", place + 1), &[output]));
        }
    }
    tensors.push(tensor("classifier.0.weight".into(), &[2, 5]));
    tensors
}

fn of<'a>(tensors: &'a Tensors, name: &str) -> &'a [f32] {
    &tensors.iter().find(|t| t.0 == name).unwrap_or_else(|| panic!("{name}")).2
}

fn loaded(config: &NetConfig, path: &Path, prefix: &str) -> Result<BTreeMap<String, Vec<f32>>> {
    let device = Device::flex();
    let pretrained = PretrainedConfig {
        path: path.into(),
        prefix: prefix.into(),
    };
    let (net, _) = load(config.init(3, &device), &config.pretrained_units(), &pretrained, &device)?;
    Ok(Weights::of(&net).values())
}

/// The one line that loading gives.
fn refused(config: &NetConfig, path: &Path, prefix: &str) -> String {
    let error = loaded(config, path, prefix).unwrap_err();
    let line = error.to_string();
    assert!(!line.contains('\n') && crate::error::kind_of(&error) == Kind::Config, "{line}");
    line
}

#[test]
fn every_value_of_either_kind_of_file_arrives_in_its_layer() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = file(Normalisation::None);
    let layers = ["0.units.0", "0.units.1", "1.units.0", "2.units.0", "2.units.1"];
    for (name, content) in [("w.pth", pth(&tensors)), ("w.safetensors", safetensors(&tensors))] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let values = loaded(&tiny(Normalisation::None), &path, "features.").unwrap();
        for (layer, number) in layers.iter().zip([0, 2, 5, 8, 10]) {
            for part in ["weight", "bias"] {
                let found = &values[&format!("encoder.{layer}.conv.{part}")];
                assert_eq!(found, of(&tensors, &format!("features.{number}.{part}")), "{name} {layer} {part}");
            }
        }
    }
}

#[test]
fn batch_norms_arrive_too_and_take_over_the_bias_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    let tensors = file(Normalisation::Batch);
    std::fs::write(&path, pth(&tensors)).unwrap();
    let values = loaded(&tiny(Normalisation::Batch), &path, "features.").unwrap();
    let layers = ["0.units.0", "0.units.1", "1.units.0", "2.units.0", "2.units.1"];
    for (layer, number) in layers.iter().zip([0, 3, 7, 11, 14]) {
        let ours = |part: &str| &values[&format!("encoder.{layer}.{part}")][..];
        let theirs = |number: usize, part: &str| of(&tensors, &format!("features.{number}.{part}"));
        assert_eq!(ours("conv.weight"), theirs(number, "weight"));
        assert_eq!(ours("activation.norm.gamma"), theirs(number + 1, "weight"));
        assert_eq!(ours("activation.norm.beta"), theirs(number + 1, "bias"));
        assert_eq!(ours("activation.norm.running_var"), theirs(number + 1, "running_var"));
        let mean = theirs(number + 1, "running_mean").iter().zip(theirs(number, "bias"));
        assert_eq!(ours("activation.norm.running_mean"), mean.map(|(m, b)| m - b).collect::<Vec<_>>());
    }
}

#[test]
fn names_may_begin_with_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let mut tensors = file(Normalisation::None);
    for tensor in &mut tensors {
        tensor.0 = tensor.0.replace("features", "model.backbone");
    }
    std::fs::write(&path, safetensors(&tensors)).unwrap();
    let config = tiny(Normalisation::None);
    assert!(loaded(&config, &path, "model.backbone.").is_ok());
    let line = refused(&config, &path, "features.");
    assert!(
        line.contains("10 of the 10 tensors") && line.contains("\"features.0.weight\""),
        "{line}"
    );
    assert!(line.contains("model.backbone.0.bias") && line.contains("set prefix"), "{line}");
}

#[test]
fn a_file_that_does_not_fit_is_refused_in_one_line_that_names_the_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    let config = tiny(Normalisation::None);
    let refused = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        refused(&config, &path, "features.")
    };
    let mut tensors = file(Normalisation::None);
    tensors.remove(7);
    assert!(refused(&pth(&tensors)).contains("1 of the 10 tensors that this encoder needs are missing, the first is \"features.8.bias\""));
    let mut tensors = file(Normalisation::None);
    tensors[4].1 = vec![4, 3, 9];
    let line = refused(&pth(&tensors));
    assert!(
        line.contains("features.5.weight is [4, 3, 9], this net wants [4, 3, 3, 3]"),
        "{line}"
    );
    let line = refused(&pth_of(&file(Normalisation::None), "IntStorage", b""));
    assert!(line.contains("features.0.weight holds I32, wanted floats"), "{line}");
    let whole = pth(&file(Normalisation::None));
    for content in [&b""[..], b"hello", &whole[..whole.len() / 2], b"\x80\x02}."] {
        let line = refused(content);
        assert!(line.contains("cannot be read") || line.contains("no tensors"), "{line}");
    }
    let elsewhere = super::tests::refused(&config, &folder.path().join("none.safetensors"), "features.");
    assert!(elsewhere.contains("none.safetensors: cannot be read"), "{elsewhere}");
    let text = folder.path().join("text.safetensors");
    std::fs::write(&text, "hello, this is no such file").unwrap();
    assert!(super::tests::refused(&config, &text, "features.").contains("cannot be read"));
}

#[test]
fn a_pickle_that_wants_to_run_a_program_runs_none() {
    let folder = tempfile::tempdir().unwrap();
    let (path, trace) = (folder.path().join("w.pth"), folder.path().join("trace"));
    // ("features.x", os.system("touch trace")), as pickle's own REDUCE would call it
    let mut call = Vec::new();
    text(&mut call, "features.x");
    call.extend(b"cposix\nsystem\n(");
    text(&mut call, &format!("touch {}", trace.display()));
    call.extend(b"tR");
    std::fs::write(&path, pth_of(&file(Normalisation::None), "FloatStorage", &call)).unwrap();
    let result = loaded(&tiny(Normalisation::None), &path, "features.");
    assert!(!trace.exists());
    assert!(result.is_ok(), "what is no tensor is left alone: {:?}", result.err());
}

#[test]
fn the_encoder_of_vgg16_is_torchvisions() {
    let numbers = |encoder| {
        let config = NetConfig::new(NetKind::Unet).with_encoder(encoder);
        config.pretrained_units().iter().map(|u| u.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(Encoder::Vgg16), [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]);
    assert_eq!(numbers(Encoder::Vgg16Bn), [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]);
    for kind in [NetKind::Unet, NetKind::Fcn] {
        let config = NetConfig::new(kind).with_encoder(Encoder::Vgg16);
        let own = Weights::of(&config.init(2, &Device::flex()));
        let sizes = places(&config.pretrained_units(), "features.").into_iter().map(|p| {
            let shape = own.shape(&p.path).unwrap_or_else(|| panic!("{}", p.path));
            shape.iter().product::<usize>()
        });
        assert_eq!(sizes.sum::<usize>(), 14_714_688);
    }
    assert!(NetConfig::new(NetKind::Unet).pretrained_units().is_empty());
}
