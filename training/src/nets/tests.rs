use super::*;
use crate::device::choose;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Distribution, Tensor};

fn small(kind: Kind) -> NetConfig {
    NetConfig {
        widths: vec![4, 6, 8],
        depths: if kind == Kind::Fpn { vec![0, 1, 2] } else { Vec::new() },
        ..NetConfig::new(kind)
    }
}

/// One of every option.
fn variants() -> Vec<NetConfig> {
    let attention = small(Kind::AttentionUnet);
    let mut all = vec![small(Kind::Unet), attention.clone(), NetConfig { heads: 2, ..attention }];
    let unet = small(Kind::Unet);
    all.extend([2, 4].map(|stem_stride| NetConfig {
        stem_stride,
        ..unet.clone()
    }));
    all.push(NetConfig {
        separable: true,
        ..unet.clone()
    });
    all.push(NetConfig {
        normalisation: Normalisation::None,
        stem_stride: 4,
        ..unet
    });
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
    assert!(refused(|c| c.memory = 5000).contains("memory is 5000"));
    assert!(refused(|c| c.heads = 2).contains("attention-unet"));
    assert!(refused(|c| c.depths = vec![1, 1, 1]).contains("only kind = \"fpn\""));
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
