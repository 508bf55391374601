use super::*;

const SMALL: &str = r#"
name = "small"
[net]
kind = "unet"
widths = [4, 8]
[[data]]
kind = "synth"
count = 4
[train]
epochs = 1
batch = 2
"#;

#[test]
fn a_small_configuration_reads_back_as_written() {
    let config = RunConfig::parse(SMALL).unwrap();
    assert_eq!(config.seed, 1);
    assert_eq!(RunConfig::parse(&config.to_toml()).unwrap(), config);
}

#[test]
fn every_problem_is_reported_with_its_line() {
    let text = SMALL
        .replace("batch = 2", "batch = 0\nbach = 3")
        .replace("count = 4", "count = 0\ncolour = 1");
    let errors = RunConfig::parse(&text).unwrap_err();
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 4, "{errors}");
    assert!(errors.contains("line 9, column 1: unknown key data.0.colour"), "{errors}");
    assert!(errors.contains("line 13, column 1: unknown key train.bach"), "{errors}");
    assert!(errors.contains("line 12, column 1: batch is 0, wanted 1 to 1024"), "{errors}");
    assert!(errors.contains("line 6, column 1: count is 0"), "{errors}");
}

#[test]
fn keys_of_other_kinds_of_data_and_endless_times_are_refused() {
    let refused = |text: &str, line: &str| {
        let errors = RunConfig::parse(text).unwrap_err();
        assert!(errors.contains(line), "{errors}");
    };
    refused(
        &SMALL.replace("count = 4", "count = 4\nsplit = \"val\""),
        "split has no meaning in a synth data set that is rendered: leave it out",
    );
    let folders = SMALL.replace("\"synth\"", "\"folders\"\nimages = \"a\"\nlabels = \"b\"");
    refused(&folders, "count has no meaning in a folders data set: leave it out");
    let camvid = "\"camvid\"\npath = \"c\"\nsplit = \"val\"\nseed = 2\nimages = \"a\"";
    let camvid = SMALL.replace("\"synth\"\ncount = 4", camvid);
    refused(&camvid, "images has no meaning in a camvid data set");
    refused(&camvid, "seed has no meaning in a camvid data set");
    refused(
        &format!("{SMALL}checkpoint_minutes = inf\n"),
        "checkpoint_minutes is inf, wanted more than 0, and a year",
    );
    refused(&format!("{SMALL}max_minutes = 1e30\n"), "wanted more than 0, and a year");
}

#[test]
fn an_unsound_net_hides_no_other_problem() {
    let text = SMALL.replace("widths = [4, 8]", "widths = [4]").replace("epochs = 1", "epochs = 0");
    let errors = RunConfig::parse(&text).unwrap_err();
    assert!(errors.contains("line 3, column 2: widths is [4]"), "{errors}");
    assert!(errors.contains("line 10, column 1: epochs is 0"), "{errors}");
    assert_eq!(errors.lines().count(), 2, "{errors}");
    for net in ["kind = \"unet\"\nwidths = []", "kind = \"fcn\"\ndepths = [2, 2]"] {
        let text = SMALL.replace("kind = \"unet\"\nwidths = [4, 8]", net) + "[pretrained]\npath = \"vgg.pth\"\n";
        assert_eq!(RunConfig::parse(&text).unwrap_err().lines().count(), 1, "{net}");
    }
}

#[test]
fn a_wrong_type_and_a_syntax_error_name_their_place() {
    let wrong = RunConfig::parse(&SMALL.replace("epochs = 1", "epochs = \"many\"")).unwrap_err();
    assert!(wrong.starts_with("line 10, column"), "{wrong}");
    let syntax = RunConfig::parse(&SMALL.replace("[net]", "[net")).unwrap_err();
    assert!(syntax.starts_with("line 3, column"), "{syntax}");
}

#[test]
fn an_auxiliary_loss_without_auxiliary_scores_is_refused() {
    let text = format!("{SMALL}[loss]\nauxiliary = 0.4\n");
    let errors = RunConfig::parse(&text).unwrap_err();
    assert!(errors.contains("auxiliary is 0.4, wanted 0, because only kind"), "{errors}");
    assert!(
        RunConfig::parse(&text.replace("0.4", "-1"))
            .unwrap_err()
            .contains("wanted 0 or more")
    );
    let pyramid = text.replace("kind = \"unet\"", "kind = \"fpn\"\ndepths = [0, 1]");
    assert!(RunConfig::parse(&pyramid).is_ok(), "{:?}", RunConfig::parse(&pyramid));
}

#[test]
fn parts_that_do_not_fit_each_other_are_refused_together() {
    let text = SMALL
        .replace("widths = [4, 8]", "widths = [4, 8]\nstochastic_depth = 0.2")
        .replace("batch = 2", "batch = 1\npatience = 2\naccumulate = 0");
    let errors = RunConfig::parse(&text).unwrap_err();
    assert!(
        errors.starts_with("line 3, column 2: stochastic_depth is 0.2, but this net has no residual blocks"),
        "{errors}"
    );
    let text = text.replace("stochastic_depth = 0.2\n", "")
        + "[augment]\nmix = \"cutmix\"\nmix_alpha = 2\ncrop = [36, 36]\n[adversarial]\nrate = 0\n[distill]\nteacher = \"t.ckpt\"\ntemperature = 0\n";
    let errors = RunConfig::parse(&text).unwrap_err();
    for wanted in [
        "accumulate is 0, wanted 1 to 1024",
        "patience is 2, wanted a [[validation]]",
        "batch is 1, wanted 2 or more",
        "mix_alpha is 2, wanted 0.05 to 1",
        "rate is 0, wanted more than 0",
        "widths is for multiples of 8, but pictures are 36x36",
        "temperature is 0, wanted more than 0",
    ] {
        assert!(errors.contains(wanted), "{wanted}: {errors}");
    }
    assert_eq!(errors.lines().count(), 7, "{errors}");
}

#[test]
fn pretrained_weights_want_an_encoder_for_them_and_no_init() {
    let text = format!("{SMALL}[pretrained]\npath = \"vgg16.pth\"\n");
    let errors = RunConfig::parse(&text).unwrap_err();
    assert!(
        errors.starts_with("line 12, column 2: [pretrained] is for nets with the encoder of a VGG"),
        "{errors}"
    );
    let fcn = text.replace("kind = \"unet\"\nwidths = [4, 8]", "kind = \"fcn\"");
    let config = RunConfig::parse(&fcn).unwrap();
    assert_eq!(config.pretrained.as_ref().unwrap().prefix, "features.");
    assert_eq!(RunConfig::parse(&config.to_toml()).unwrap(), config);
    let errors = RunConfig::parse(&format!("init = \"a.ckpt\"\n{fcn}")).unwrap_err();
    assert!(errors.contains("found init and [pretrained]"), "{errors}");
}

#[test]
fn every_problem_of_a_freeze_is_reported_with_its_line() {
    let text = format!("{SMALL}[[freeze]]\nlayers = [\"encoder\"]\nepochs = 3\nrate_factor = 0.1\n");
    let config = RunConfig::parse(&text).unwrap();
    assert_eq!(RunConfig::parse(&config.to_toml()).unwrap(), config);
    let wrong = text.replace("encoder", "backbone.*").replace("0.1", "-1");
    let errors = RunConfig::parse(&wrong).unwrap_err();
    assert_eq!(errors.lines().count(), 2, "{errors}");
    assert!(
        errors.contains("line 12, column 1: layers has \"backbone.*\"") && errors.contains("rate_factor is -1"),
        "{errors}"
    );
    let all = RunConfig::parse(&text.replace("\"encoder\"", "\"*\"")).unwrap_err();
    assert!(all.contains("line 12") && all.contains("wanted some that learn"), "{all}");
}

#[test]
fn a_memory_and_sequences_go_together() {
    let memory = SMALL.replace("widths = [4, 8]", "widths = [4, 8]\nmemory = 4");
    let errors = RunConfig::parse(&memory).unwrap_err();
    assert!(errors.contains("sequence is 1, wanted 2 to 64 frames"), "{errors}");
    let errors = RunConfig::parse(&format!("{SMALL}sequence = 4\n")).unwrap_err();
    assert!(
        errors.starts_with("line 12") && errors.contains("sequence is 4, wanted 1"),
        "{errors}"
    );
    let config = RunConfig::parse(&format!("{memory}sequence = 4\n")).unwrap();
    assert_eq!((config.train.sequence, config.net.memory), (4, 4));
    assert!(
        !RunConfig::parse(SMALL).unwrap().to_toml().contains("sequence"),
        "old runs read as they were written"
    );
    let mixed = format!("{memory}sequence = 4\n[augment]\nmix = \"cutmix\"\n");
    assert!(RunConfig::parse(&mixed).unwrap_err().contains("mix is set, wanted none"));
    let clips = SMALL.replace("count = 4", "count = 4\nframes = 0");
    assert!(RunConfig::parse(&clips).unwrap_err().contains("a clip has 0 frames"));
    let stills = SMALL.replace("count = 4", "count = 4\nfps = 5");
    assert!(RunConfig::parse(&stills).unwrap_err().contains("clips are rendered from"));
}

#[test]
fn a_crop_that_the_net_cannot_take_is_refused() {
    let errors = RunConfig::parse(&format!("{SMALL}[augment]\ncrop = [33, 32]\n")).unwrap_err();
    assert!(errors.contains("crop is 33 (width), wanted a multiple of 2"), "{errors}");
}

#[test]
fn every_shipped_configuration_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(RunConfig::parse(&text).is_ok(), "{}: {:?}", path.display(), RunConfig::parse(&text));
        count += 1;
    }
    assert!(count >= 3);
}
