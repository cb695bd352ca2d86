#include "engine_options.h"

#include "brume/text/wildcard_files.h"
#include "brume/weights/component_file.h"
#include "shipped.h"
#include "usage_line.h"
#include "values.h"

namespace brume::cli {

namespace {

void add_guidance_options(CLI::App& command, PictureSettings& settings) {
  command
      .add_option("--guidance-start", settings.guidance_start,
                  "Share of the steps, 0 to 1, from which on the negative prompt is looked at (default 0)")
      ->transform(real_number(0, 1));
  command
      .add_option("--guidance-end,--guidance-stop", settings.guidance_end,
                  "Share of the steps up to which it is; the others take half of the time (default 1)")
      ->transform(real_number(0, 1));
  command
      .add_option("--mimic-scale", settings.mimic_scale,
                  "Dynamic thresholding: values in the range that this --cfg-scale would have; 7 is usual")
      ->transform(real_number(0, kMostGuidance));
  command
      .add_option("--threshold-percentile", settings.threshold_percentile,
                  "0 to 1: which part of the values is brought into that range (default 1)")
      ->transform(real_number(0, 1));
  command
      .add_option("--pag-scale", settings.pag_scale,
                  "Perturbed attention guidance: 3 is usual, 0 is none; works without a negative prompt too "
                  "(default 0)")
      ->transform(real_number(0, kMostGuidance));
  command
      .add_option("--pag-adaptive-scale", settings.pag_adaptive_scale,
                  "How much weaker it becomes with every timestep, such as 0.01 (default 0)")
      ->transform(real_number(0, kMostGuidance));
  command
      .add_option("--pag-layers,--pag-applied-layers", settings.pag_layers,
                  "Whose self-attentions are perturbed, with commas: mid, down_blocks.1, "
                  "up_blocks.0.attentions.1 (default mid)")
      ->check(not_empty());
  command
      .add_option("--freeu", settings.freeu,
                  "B1,B2,S1,S2: factors of the UNet's backbone and skips, such as 1.3,1.4,0.9,0.2")
      ->check(not_empty());
}

}  // namespace

void add_picture_options(CLI::App& command, PictureSettings& settings) {
  command.add_option("-p,--prompt", settings.prompt, "What to draw");
  command.add_option("-n,--negative-prompt", settings.negative_prompt, "What to keep out of the picture");
  command
      .add_option("-i,--init-img,--init-image", settings.init_img,
                  "Change this picture (PNG or JPEG) instead of drawing from noise alone")
      ->check(not_empty());
  command
      .add_option("--strength,--denoising-strength", settings.strength,
                  "How much of --init-img to change, 0 to 1: that share of the steps is taken (default 0.75, "
                  "with --mask 1)")
      ->transform(real_number(0, 1));
  command
      .add_option("--mask,--mask-image", settings.mask,
                  "Draw --init-img anew where this picture is white, and nowhere else")
      ->check(not_empty());
  command.add_option("-W,--width", settings.width, "Pixels (default: the model's own)")
      ->transform(whole_number(1, kMostSide));
  command.add_option("-H,--height", settings.height, "Pixels (default: the model's own)")
      ->transform(whole_number(1, kMostSide));
  command
      .add_option("--steps,--num-inference-steps,--sampling-steps", settings.steps,
                  "Denoising steps (default: the model's own, or 20)")
      ->transform(whole_number(1, kMostSteps));
  command
      .add_option("--cfg-scale,--guidance-scale", settings.cfg_scale,
                  "How closely to follow the prompt; 1 or less: no guidance (default: the model's own, or 7)")
      ->transform(real_number(0, kMostGuidance));
  command
      .add_option("--cfg-rescale,--guidance-rescale", settings.cfg_rescale,
                  "0 to 1: keeps strong guidance from burning colours out; 0.7 is usual (default 0)")
      ->transform(real_number(0, 1));
  command
      .add_option("--image-cfg-scale,--image-guidance-scale,--img-cfg-scale", settings.image_cfg_scale,
                  "Of instruct-pix2pix models, how closely to follow --init-img, 1 or more (default 1.5)")
      ->transform(real_number(1, kMostGuidance));
  add_guidance_options(command, settings);
  command.add_option("--sampling-method,--sampler,--sampler-name", settings.sampler,
                     "euler, euler_a, heun, dpm2, dpm2_a, dpm++2s_a, dpm++2m, dpm++sde, dpm++2m_sde, "
                     "dpm++3m_sde, lms, plms, ipndm, deis, unipc, lcm, tcd, euler_cfg_pp, ddim or ddpm "
                     "(default: the model's own)");
  command.add_option(
      "--scheduler,--schedule,--schedule-type,--sigmas", settings.scheduler,
      "model, karras, exponential, beta, sgm_uniform, simple, ddim_uniform, ays, kl_optimal, automatic, "
      "or falling sigmas: 14.6,4.9,1.6,0.5 (default: the model's own timesteps)");
  command
      .add_option(
          "--eta", settings.eta,
          "Fresh noise in each step, 0 to 1 (default: 0 for ddim, 0.3 for tcd, 1 for others that take "
          "some)")
      ->transform(real_number(0, 1));
  command
      .add_option("--clip-skip", settings.clip_skip,
                  "1: the text encoder's last layer; 2: the one before (default 1; other --compat count on "
                  "their own)")
      ->transform(whole_number(1, kMostClipSkip));
  command
      .add_option(
          "--compat", settings.compat,
          "Whose prompts these are: a1111 (the whole language), sdcpp (emphasis and BREAK) or diffusers "
          "(words as they stand) (default a1111)")
      ->check(one_of({"a1111", "diffusers", "sdcpp"}));
  command
      .add_option("--rng", settings.rng,
                  "Noise: cpu or cuda, the same numbers as torch.Generator of that device; philox is cuda "
                  "(default cpu; with --compat a1111 or sdcpp as they have it: cuda)")
      ->check(one_of({"cpu", "cuda", "philox"}));
  command.add_flag("--strict", settings.strict,
                   "Fail where words would be cut, or not be read as they stand, or some of an adapter fits "
                   "nothing in the model (default: a note)");
  command.add_flag("--vae-tiling", settings.vae_tiling, "Decode large pictures by tiles, in less memory");
}

void add_wildcards_option(CLI::App& command, std::optional<std::filesystem::path>& wildcards) {
  command
      .add_option("--wildcards", wildcards,
                  "Directory of the files that __name__ in a prompt chooses a line of: name.txt")
      ->check(not_empty());
}

void check_wildcards(const std::optional<std::filesystem::path>& wildcards,
                     const std::optional<std::string>& compat) {
  if (wildcards && compat.value_or("a1111") != "a1111")
    refuse("--wildcards", *compat + " has none in its prompts", "leave it or --compat out");
  wildcards_in(wildcards);  // throws for what is no directory
}

void add_embedding_options(CLI::App& command, EmbeddingOptions& options) {
  command
      .add_option(
          "--embedding,--textual-inversion", options.files,
          "A textual-inversion embedding, FILE or FILE:NAME, whose name in a prompt stands for its vectors; "
          "several: --embedding A --embedding B")
      ->allow_extra_args(false)
      ->check(not_empty());
  command
      .add_option("--embeddings-dir,--embd-dir", options.directory,
                  "Directory of embeddings, each by its file's name without ending, or as embedding:NAME")
      ->check(not_empty());
}

void add_component_options(CLI::App& command, EngineOptions& options) {
  const auto add = [&](const std::string& component, const std::string& other_name, const std::string& help) {
    command
        .add_option_function<std::string>(
            component_option(component) + "," + other_name,
            [&options, component](const std::string& place) { options.components[component] = place; },
            "Take the " + help)
        ->check(not_empty());
  };
  add("vae", "--taesd", "autoencoder from this file or directory, also a tiny one (TAESD)");
  add("unet", "--diffusion-model", "UNet from this file or directory");
  add("text_encoder", "--clip-l", "text encoder from this file or directory, of XL the first");
  add("text_encoder_2", "--clip-g",
      "second text encoder of XL, its refiner's only one, from this file or directory");
  command
      .add_option("--prediction,--prediction-type", options.prediction,
                  "What the UNet predicts: epsilon, v or sample (default: as the model says)")
      ->check(one_of({"epsilon", "v", "sample", "v_prediction", "eps"}));
  command
      .add_option("--lora", options.adapters.loras,
                  "Merge this adapter (LoRA, LoCon, LoHa, LoKr, DoRA) into the weights: FILE, FILE:0.8, or "
                  "FILE:0.8:0.5 for text encoders and UNet; several: --lora A --lora B")
      ->allow_extra_args(false)
      ->check(not_empty());
}

void add_engine_options(CLI::App& command, EngineOptions& options) {
  command
      .add_option("-m,--model", options.model,
                  "Model directory in diffusers layout, a .safetensors or .ckpt file of Stable Diffusion 1, "
                  "2 or XL, or one that brume convert wrote (default: the embedded model)")
      ->check(not_empty());
  add_component_options(command, options);
  command
      .add_option("--device", options.device,
                  "auto, cpu, cuda or cuda:N (default auto: the first GPU that answers, else the CPU)")
      ->check(device_name());
  command
      .add_option("--dtype,--type", options.dtype,
                  "auto, fp32, bf16 or fp16 (default auto: fp32, on a GPU fp16)")
      ->transform(dtype_value("auto"));
  command
      .add_option("-t,--threads", options.threads,
                  "CPU threads (default: one a core; one for a small network)")
      ->transform(whole_number(1, 1024));
  command
      .add_option("--lora-model-dir", options.adapters.directory,
                  "Where <lora:NAME:0.8> in a prompt finds NAME.safetensors")
      ->check(not_empty());
  add_embedding_options(command, options.embeddings);
  command.add_flag("-v,--verbose", options.verbose, "Say what is being done, with times");
}

std::filesystem::path EngineOptions::model_path() const { return model.empty() ? embedded_model() : model; }

}  // namespace brume::cli
