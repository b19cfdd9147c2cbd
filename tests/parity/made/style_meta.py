"""What the recorded options of StyleGAN files mean to our second implementations."""


def motion_options(cfg, spline):
    """Returns the options of `style_motion.motion`."""
    m, time = cfg["motion"], cfg["time_enc"]
    return {
        "z": m["z_dim"],
        "v": m["v_dim"],
        "distance": m["motion_z_distance"],
        "kernel": m["kernel_size"],
        "strategy": m["gen_strategy"],
        "fourier": m["fourier"],
        "waves": time["dim"],
        "shortest": time["min_period_len"],
        "longest": time["max_period_len"],
        "spline": spline,
        "blend": spline and cfg["bs_emb"],
    }


def generator_options(meta, alias_free):
    """Returns the options of `style_motion.stylesv` or `stylegan_v`."""
    cfg, sizes = meta["cfg"], meta["synthesis_kwargs"]
    return {
        "w": meta["w_dim"],
        "num_layers": sizes.get("num_layers", 14),
        "channel_base": sizes["channel_base"],
        "channel_max": sizes["channel_max"],
        "clamp": sizes["conv_clamp"],
        "low_rank": max(cfg["low_rank"], 0),
        "add": cfg["fuse_w"] == "add",
        "learned_mask": cfg["learnable_motion_mask"],
        "condition": cfg["time_enc"]["cond_type"],
        "use_noise": cfg["use_noise"],
        "motion": motion_options(cfg, alias_free and cfg["bspline"]),
    }


def discriminator_options(meta):
    """Returns the options of `style_networks.video_discriminator` for a `stylesv_*` file."""
    cfg, sampling = meta["cfg"], meta["cfg"]["sampling"]
    return {
        "base": meta["channel_base"],
        "most": meta["channel_max"],
        "clamp": meta["conv_clamp"],
        "group": meta["mbstd_group_size"],
        "merge_at": cfg["concat_res"],
        "divisor": cfg["num_frames_div_factor"],
        "mean": cfg["tmean"],
        "shift": cfg["tsm"],
        "frozen": meta["block_kwargs"].get("freeze_layers", 0),
        "longest": sampling["max_num_frames"],
        "uniform": sampling["type"] == "uniform",
        "dummy": cfg["dummy_c"],
        "first": False,
    }
