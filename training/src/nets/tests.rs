use super::*;
use crate::device::choose;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Distribution, Tensor};

fn small(kind: Kind) -> NetConfig {
    let (widths, depths) = match kind {
        Kind::Fcn => (vec![4, 6, 8, 8], vec![1, 2, 1, 1]),
        Kind::Fpn => (vec![4, 6, 8], vec![0, 1, 2]),
        Kind::Segformer => (vec![4, 6, 8], vec![1, 2, 1]),
        Kind::Unet | Kind::AttentionUnet => (vec![4, 6, 8], Vec::new()),
    };
    let (heads, attention_levels) = if kind == Kind::Segformer { (4, 2) } else { (0, 0) };
    NetConfig {
        widths,
        depths,
        heads,
        attention_levels,
        ..NetConfig::new(kind)
    }
}

/// Nets on the encoder of VGG16, with as little else as may be.
fn on_vgg16() -> Vec<NetConfig> {
    let unet = NetConfig {
        widths: vec![4; 6],
        ..NetConfig::new(Kind::Unet).with_encoder(Encoder::Vgg16)
    };
    let mut fcn = NetConfig::new(Kind::Fcn).with_encoder(Encoder::Vgg16Bn);
    fcn.widths[5] = 4;
    vec![unet, fcn]
}

fn attention_of(unet: &NetConfig) -> NetConfig {
    NetConfig {
        kind: Kind::AttentionUnet,
        ..unet.clone()
    }
}

/// One of every option.
fn variants() -> Vec<NetConfig> {
    let attention = small(Kind::AttentionUnet);
    let mut all = vec![small(Kind::Unet), attention.clone(), NetConfig { heads: 2, ..attention }];
    let unet = small(Kind::Unet);
    all.extend([2, 4].map(|stem_stride| NetConfig {
        stem_stride,
        antialias: stem_stride == 4,
        ..unet.clone()
    }));
    all.push(NetConfig {
        separable: true,
        ..unet.clone()
    });
    all.push(NetConfig {
        residual: true,
        widths: vec![4, 4, 8], // one block keeps its channels
        ..unet.clone()
    });
    all.push(NetConfig {
        residual: true,
        separable: true,
        normalisation: Normalisation::None,
        ..attention_of(&unet)
    });
    all.push(NetConfig {
        normalisation: Normalisation::None,
        stem_stride: 4,
        ..unet
    });
    let fcn = small(Kind::Fcn);
    all.extend([1, 2].map(|stem_stride| NetConfig {
        stem_stride,
        ..fcn.clone()
    }));
    all.push(NetConfig {
        separable: true,
        widths: vec![4, 4, 6, 6, 8],
        depths: vec![1; 5],
        ..fcn.clone()
    });
    all.push(NetConfig {
        normalisation: Normalisation::None,
        ..fcn
    });
    all.extend(on_vgg16());
    let fpn = small(Kind::Fpn);
    all.extend([1, 2, 4].map(|stem_stride| NetConfig {
        stem_stride,
        ..fpn.clone()
    }));
    all.push(NetConfig {
        widths: vec![4, 6],
        depths: vec![1, 0],
        separable: true,
        ..fpn.clone()
    });
    all.extend([fpn.clone(), small(Kind::AttentionUnet)].map(|net| NetConfig { memory: 3, ..net }));
    all.push(NetConfig {
        normalisation: Normalisation::None,
        ..fpn
    });
    let segformer = small(Kind::Segformer);
    all.extend([1, 2, 4].map(|stem_stride| NetConfig {
        stem_stride,
        ..segformer.clone()
    }));
    all.push(NetConfig {
        normalisation: Normalisation::None,
        separable: true,
        attention_levels: 3,
        ..segformer
    });
    all
}

fn values(x: Tensor<4>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_into_vec().unwrap()
}

#[test]
fn every_net_gives_one_score_a_class_and_pixel_at_any_multiple() {
    let device = choose("cpu").unwrap();
    for config in variants() {
        let of = config.multiple() as usize;
        let net = config.init(5, &device);
        for (h, w) in [(of, 2 * of), (3 * of, of)] {
            let scores = net.forward(Tensor::zeros([2, 3, h, w], &device));
            assert_eq!(scores.dims(), [2, 5, h, w], "{config:?}");
        }
    }
}

#[test]
fn the_cost_counts_the_parameters_that_the_net_has() {
    struct Trainable(usize);
    impl ModuleVisitor for Trainable {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 += if param.is_require_grad() { param.shape().num_elements() } else { 0 };
        }
    }
    for config in variants() {
        let net = config.init(5, &choose("cpu").unwrap().autodiff());
        let mut found = Trainable(0);
        net.visit(&mut found);
        assert_eq!(config.cost(5, 64, 64).parameters, found.0, "{config:?}");
    }
}

#[test]
fn the_default_nets_fit_in_8_megabytes() {
    for kind in [Kind::Unet, Kind::AttentionUnet] {
        let heads = if kind == Kind::AttentionUnet { 4 } else { 0 };
        let config = NetConfig {
            heads,
            stem_stride: 2,
            ..NetConfig::new(kind)
        };
        let cost = config.cost(11, 352, 480);
        assert!(cost.parameters * 4 < 8_000_000, "{cost:?}");
    }
}

#[test]
fn the_default_pyramid_is_small_enough_for_edge_cpus() {
    let config = NetConfig {
        stem_stride: 2,
        ..NetConfig::new(Kind::Fpn)
    };
    let cost = config.cost(11, 352, 480);
    assert!(cost.parameters < 1_500_000 && cost.macs < 2_200_000_000, "{cost:?}");
}

#[test]
fn the_default_segformer_is_small_enough_for_edge_cpus() {
    let config = NetConfig {
        stem_stride: 4,
        ..NetConfig::new(Kind::Segformer)
    };
    let cost = config.cost(11, 352, 480);
    assert!(cost.parameters < 2_000_000 && cost.macs < 2_200_000_000, "{cost:?}");
}

#[test]
fn an_antialiased_net_averages_the_scores_of_neighbours() {
    let device = choose("cpu").unwrap();
    let picture = Tensor::<4>::random([1, 3, 32, 32], Distribution::Default, &device);
    let scores = |antialias| {
        device.seed(1);
        let config = NetConfig {
            stem_stride: 2,
            antialias,
            ..small(Kind::Fpn)
        };
        values(config.init(3, &device).forward(picture.clone()))
    };
    let (rough, smooth) = (scores(false), scores(true));
    let near = |at: usize| [at.saturating_sub(1), at, at, (at + 1).min(31)]; // twice itself, and beyond the edge the edge
    for (i, found) in smooth.iter().enumerate() {
        let (plane, y, x) = (i / 1024, i / 32 % 32, i % 32);
        let around = near(y).into_iter().flat_map(|y| near(x).map(|x| rough[plane * 1024 + y * 32 + x]));
        let wanted = around.sum::<f32>() / 16.0;
        assert!((found - wanted).abs() < 1e-5, "{i}: {found} {wanted}");
    }
}

#[test]
fn a_place_of_a_segformer_sees_all_others() {
    let device = choose("cpu").unwrap().autodiff();
    let net = NetConfig {
        stem_stride: 2,
        ..small(Kind::Segformer)
    }
    .init(3, &device);
    let picture = Tensor::<4>::random([1, 3, 64, 96], Distribution::Default, &device).require_grad();
    let scores = net.freeze().forward(picture.clone());
    let gradient = picture.grad(&scores.slice([0..1, 0..1, 0..1, 0..1]).sum().backward()).unwrap();
    let far = gradient.slice([0..1, 0..3, 56..64, 88..96]);
    assert!(values(far).iter().any(|g| *g != 0.0), "the far corner has a say in the near one");
}

#[test]
fn a_name_of_a_kind_is_what_a_configuration_says() {
    for kind in Kind::ALL {
        assert_eq!(toml::Value::try_from(kind).unwrap().as_str(), Some(kind.name()));
    }
}

#[test]
fn auxiliary_scores_are_those_of_a_coarser_level_and_change_no_others() {
    let device = choose("cpu").unwrap();
    for (stem_stride, widths, k) in [(2, vec![4, 6, 8, 8], 4), (1, vec![4, 6], 1)] {
        let config = NetConfig {
            stem_stride,
            depths: vec![1; widths.len()],
            widths,
            ..NetConfig::new(Kind::Fpn)
        };
        let net = config.init_with_auxiliary(5, &device);
        let picture = Tensor::<4>::random([2, 3, 32, 48], Distribution::Default, &device);
        let seen = net.step(picture.clone(), None);
        assert_eq!(seen.auxiliary.unwrap().dims(), [2, 5, 32 / k, 48 / k]);
        assert_eq!(values(seen.scores), values(net.forward(picture.clone())));
        assert!(config.init(5, &device).step(picture, None).auxiliary.is_none());
    }
}

#[test]
fn a_net_that_gets_a_memory_keeps_what_it_knows_and_says_the_same_at_first() {
    let device = choose("cpu").unwrap();
    for kind in Kind::ALL {
        let plain = small(kind);
        let config = NetConfig {
            memory: 3,
            ..plain.clone()
        };
        let old = plain.init(5, &device);
        let weights = crate::weights::Weights::of(&old);
        let (net, taken) = weights.put_into(config.init(5, &device));
        assert_eq!(taken, weights.len(), "all tensors of the net without one are taken");
        let picture = || Tensor::<4>::random([1, 3, 16, 24], Distribution::Default, &device);
        let mut state = None;
        for _ in 0..3 {
            let picture = picture();
            let seen = net.step(picture.clone(), state);
            assert_eq!(values(seen.scores), values(old.forward(picture)), "{kind:?}");
            state = seen.state;
        }
        let grid = config.state().unwrap();
        assert_eq!(state.unwrap().dims(), grid.shape(24, 16));
        assert!(plain.state().is_none() && old.step(picture(), None).state.is_none());
    }
}

#[test]
fn the_path_of_a_tensor_is_that_inside_its_net() {
    let device = choose("cpu").unwrap();
    for (kind, path) in [
        (Kind::Unet, "encoder.0.second.conv.weight"),
        (Kind::Fpn, "encoder.1.blocks.0.first.conv.weight"),
        (Kind::Fcn, "encoder.1.units.0.conv.weight"),
        (Kind::Segformer, "encoder.1.transformers.0.attention.query.weight"),
    ] {
        let values = crate::weights::Weights::of(&small(kind).init(5, &device)).values();
        assert!(values.contains_key(path), "{:?}", values.keys());
    }
}

#[test]
fn every_trainable_parameter_gets_a_gradient() {
    struct Missing<'a>(&'a burn::tensor::Gradients, usize);
    impl ModuleVisitor for Missing<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1 += usize::from(param.is_require_grad() && param.val().grad(self.0).is_none());
        }
    }
    let device = choose("cpu").unwrap().autodiff();
    for config in variants() {
        let net = config.init(5, &device);
        let of = config.multiple() as usize;
        let picture = || Tensor::random([2, 3, 2 * of, 2 * of], Distribution::Default, &device);
        // the second frame, as a memory has nothing to forget before it
        let seen = net.step(picture(), net.step(picture(), None).state);
        let gradients = seen.scores.powi_scalar(2).mean().backward();
        let mut missing = Missing(&gradients, 0);
        net.visit(&mut missing);
        assert_eq!(missing.1, 0, "{config:?}");
    }
}

#[test]
fn a_residual_block_adds_what_it_read() {
    let device = choose("cpu").unwrap();
    device.seed(11);
    let config = NetConfig {
        residual: true,
        normalisation: Normalisation::None,
        ..small(Kind::Unet)
    };
    for io in [[3, 3], [3, 5]] {
        let block = layers::Block::new(&config, io, &device);
        let x = Tensor::<4>::random([1, 3, 8, 8], Distribution::Default, &device);
        // with the second convolution at nothing, only the way around it is left
        struct Second(bool);
        impl burn::module::ModuleMapper for Second {
            fn enter_module(&mut self, name: &str, _container_type: &str) {
                self.0 |= name == "second";
            }
            fn exit_module(&mut self, name: &str, _container_type: &str) {
                self.0 &= name != "second";
            }
            fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
                if self.0 { param.map(|t| t.zeros_like()) } else { param }
            }
        }
        let y = block.map(&mut Second(false)).forward(x.clone());
        assert_eq!(y.dims(), [1, io[1], 8, 8]);
        if io[0] == io[1] {
            assert_eq!(values(y), values(x), "positive values pass the ReLU as they are");
        } else {
            assert!(values(y).iter().any(|v| *v > 0.0), "a 1x1 convolution leads around");
        }
    }
}

#[test]
fn an_fcn_has_scores_of_its_three_coarsest_levels() {
    let config = NetConfig {
        stem_stride: 2,
        ..NetConfig::new(Kind::Fcn)
    };
    assert_eq!(config.multiple(), 64, "a stem of 2 and five poolings");
    let shapes = crate::weights::Weights::of(&config.init(11, &choose("cpu").unwrap()));
    let of = |path: &str| shapes.shape(path).map(<[usize]>::to_vec);
    assert_eq!(
        of("scores.0.weight"),
        Some(vec![11, 160, 1, 1]),
        "behind the fifth pooling and its convolutions"
    );
    assert_eq!(of("scores.1.weight"), Some(vec![11, 128, 1, 1]), "the fourth pooling");
    assert_eq!(of("scores.2.weight"), Some(vec![11, 96, 1, 1]), "the third pooling");
    assert_eq!(of("scores.3.weight"), None);
}

#[test]
fn defaults_follow_kind_and_encoder() {
    let read = |text: &str| toml::from_str::<NetConfig>(text).unwrap();
    let fcn = read("kind = \"fcn\"");
    assert_eq!(
        (&fcn.widths[..], &fcn.depths[..]),
        (&[24, 48, 96, 128, 160, 160][..], &[2, 2, 3, 3, 3, 2][..])
    );
    let vgg = read("kind = \"fcn\"\nencoder = \"vgg16-bn\"");
    assert_eq!(vgg.widths, [64, 128, 256, 512, 512, 512]);
    assert_eq!(read("kind = \"unet\"\nencoder = \"vgg16\"").widths.len(), 6);
    assert_eq!(read("kind = \"fpn\"\ndepths = [1, 1, 1, 1, 1]").widths, default_widths());
    for config in variants().iter().chain(&[fcn, vgg]) {
        assert_eq!(&read(&toml::to_string(config).unwrap()), config);
        config.check().unwrap();
    }
    let plain = toml::to_string(&NetConfig::new(Kind::Unet)).unwrap();
    assert!(!plain.contains("encoder") && !plain.contains("residual"), "{plain}");
}

#[test]
fn an_encoder_that_does_not_fit_is_refused_in_one_line() {
    let refused = |kind, change: fn(&mut NetConfig)| {
        let mut config = NetConfig::new(kind).with_encoder(Encoder::Vgg16);
        change(&mut config);
        config.check().unwrap_err()
    };
    assert!(refused(Kind::Fpn, |c| c.depths = vec![1; c.widths.len()]).contains("only kind = \"unet\" and kind = \"fcn\" take it"));
    assert!(refused(Kind::AttentionUnet, |_| ()).contains("encoder is \"vgg16\""));
    assert!(refused(Kind::Unet, |c| c.stem_stride = 2).contains("stem_stride is 2"));
    assert!(refused(Kind::Unet, |c| c.widths = vec![8; 5]).contains("6 levels of the decoder"));
    assert!(refused(Kind::Fcn, |c| c.widths[0] = 32).contains("begins with [64, 128, 256, 512, 512]"));
    assert!(refused(Kind::Fcn, |c| c.separable = true).contains("full convolutions"));
    assert!(refused(Kind::Fcn, |c| c.residual = true).contains("residual is true"));
    assert!(refused(Kind::Fcn, |c| c.antialias = true).contains("antialias is true"));
    let own = |change: fn(&mut NetConfig)| {
        let mut config = small(Kind::Fcn);
        change(&mut config);
        config.check().unwrap_err()
    };
    assert!(own(|c| c.widths = vec![4; 3]).contains("wanted 4 to 7 levels"));
    assert!(own(|c| c.depths[1] = 0).contains("from 1 to 64"));
    assert!(own(|c| c.depths = vec![1]).contains("one for each of the widths"));
}

#[test]
fn a_valid_copy_keeps_its_statistics_while_the_net_trains_on() {
    let device = choose("cpu").unwrap();
    let training = device.clone().autodiff();
    let net = small(Kind::Unet).init(5, &training);
    let picture = Tensor::<4>::random([1, 3, 16, 16], Distribution::Default, &device);
    net.forward(Tensor::from_inner(picture.clone()));
    let copy = net.valid();
    let before = values(copy.forward(picture.clone()));
    for _ in 0..3 {
        net.forward(Tensor::from_inner(picture.clone()) * 3.0 + 1.0);
    }
    assert_eq!(values(copy.forward(picture.clone())), before);
    assert_ne!(
        values(net.valid().forward(picture)),
        before,
        "training moves the running statistics"
    );
}

#[test]
fn a_configuration_that_cannot_be_built_is_refused_in_one_line() {
    let refused = |change: fn(&mut NetConfig)| {
        let mut config = small(Kind::Unet);
        change(&mut config);
        config.check().unwrap_err()
    };
    assert!(refused(|c| c.widths = vec![8]).contains("2 to 7 levels"));
    assert!(refused(|c| c.stem_stride = 3).contains("1, 2 or 4"));
    assert!(refused(|c| c.dropout = 1.0).contains("dropout is 1"));
    assert!(refused(|c| c.antialias = true).contains("antialias is true"));
    assert!(refused(|c| c.memory = 5000).contains("memory is 5000"));
    assert!(refused(|c| c.heads = 2).contains("attention-unet"));
    assert!(refused(|c| c.attention_levels = 1).contains("only kind = \"segformer\""));
    assert!(refused(|c| c.depths = vec![1, 1, 1]).contains("only kind = \"fpn\", kind = \"fcn\""));
    assert!(refused(|c| c.kind = Kind::Fpn).contains("depths is [], wanted 3 numbers"));
    assert!(
        refused(|c| {
            c.kind = Kind::Fpn;
            c.depths = vec![1, 1];
        })
        .contains("one for each of the widths")
    );
    assert!(
        refused(|c| {
            *c = small(Kind::Fpn);
            c.heads = 2;
        })
        .contains("attention-unet")
    );
    assert!(
        refused(|c| {
            c.kind = Kind::AttentionUnet;
            c.heads = 3;
        })
        .contains("does not divide")
    );
}

#[test]
fn a_segformer_that_cannot_be_built_is_refused_in_one_line() {
    let refused = |change: fn(&mut NetConfig)| {
        let mut config = small(Kind::Segformer);
        change(&mut config);
        config.check().unwrap_err()
    };
    assert!(refused(|c| c.depths = vec![1]).contains("wanted 3 numbers"));
    assert!(refused(|c| c.heads = 0).contains("at least 1"));
    assert!(refused(|c| c.heads = 3).contains("does not divide the 8 channels"));
    assert!(refused(|c| c.heads = 2).contains("widths has 6, wanted a multiple of 4"));
    assert!(refused(|c| c.attention_levels = 0).contains("wanted 1 to 3"));
    assert!(refused(|c| c.attention_levels = 4).contains("wanted 1 to 3"));
    assert!(refused(|c| c.stochastic_depth = 0.1).contains("leave it out"));
}

#[test]
fn an_unknown_key_of_a_configuration_is_refused() {
    let read = |text: &str| toml::from_str::<NetConfig>(text);
    assert_eq!(read("kind = \"unet\"").unwrap(), NetConfig::new(Kind::Unet));
    assert_eq!(
        read("kind = \"attention-unet\"\nheads = 4").unwrap().multiple(),
        16,
        "five levels halve four times"
    );
    assert!(read("kind = \"unet\"\nwidth = [8]").unwrap_err().to_string().contains("width"));
}
