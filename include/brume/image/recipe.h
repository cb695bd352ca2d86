#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "brume/image/png.h"

namespace brume {

/// An option that not every picture uses: written where one does.
struct RecipeOption {
  std::string name;   // ours: "rng"
  std::string title;  // in the infotext, A1111's where it has one: "RNG"
  std::variant<double, std::string> value;
  std::string titled = {};  // the value in the infotext, where it is another text there
};

/// How the latents were denoised.
struct RecipeSampling {
  std::string sampler;               // our name: "ddim"
  std::string sampler_title = {};    // A1111's: "DDIM"; empty: as ours
  std::string scheduler = {};        // our name, or a list of sigmas; empty: the model's own
  std::string scheduler_title = {};  // A1111's
  int steps = 0;
  double eta = 0;
  double usual_eta = 0;  // of that sampler: only another one is worth a word to people
  double cfg_scale = 1;
  double cfg_rescale = 0;
  int clip_skip = 1;
  std::vector<RecipeOption> options = {};
};

/// An adapter (LoRA or one of its kin) that was merged into the model.
struct RecipeAdapter {
  std::string name;
  std::string strength;   // "0.8"
  std::string hash;       // SHA-256 of its file in hexadecimal digits
  std::string data_hash;  // and of its tensors alone, as A1111 has it
};

/// What denoised them.
struct RecipeEngine {
  std::string model;            // the model's name: its directory's, or its file's
  std::string model_hash = {};  // SHA-256 of its weights in hexadecimal digits; empty: not known
  std::string dtype;            // "fp32"
  std::string device;           // "cpu"
  std::string version;          // "brume 0.1.0"
  std::string prediction = {};  // "v_prediction": another one than the model says; empty: its own
  // Files or directories of components that are not the model's own, by their names: "vae".
  std::map<std::string, std::string> components = {};
  std::vector<RecipeAdapter> adapters = {};
};

/// A picture file that it was drawn from.
struct RecipePicture {
  std::string name;  // the file's
  std::string hash;  // SHA-256 of it in hexadecimal digits
};

/// The picture that was changed.
struct RecipeEdit {
  RecipePicture picture;
  std::optional<double> strength;          // nothing: all steps were taken, the picture beside them
  std::optional<RecipePicture> mask = {};  // white where it was drawn anew
};

/// What {a|b} and __name__ of the prompts became for one picture.
struct ChosenPrompts {
  std::string prompt;
  std::optional<std::string> negative_prompt;
};

/// Everything that one picture was made from, as it is written into the picture.
struct Recipe {
  std::string prompt;  // as typed
  std::optional<std::string> negative_prompt;
  std::optional<ChosenPrompts> chosen = {};  // where choices were made in them
  std::string compat = {};                   // whose prompts they are: "a1111"; empty: not said
  int width = 0;
  int height = 0;
  uint64_t seed = 0;
  RecipeSampling sampling;
  std::optional<RecipeEdit> edit = {};
  RecipeEngine engine;
  std::vector<std::string>
      notes;        // what happened on the way: "vae_fallback fp32", "vae_tiling memory", "init_latents"
  std::string key;  // of the job it answers, in hexadecimal digits; empty: of none
};

/// The recipe as A1111 writes it (the text of the PNG chunk "parameters"): prompt, "Negative prompt: ..." (as
/// chosen, the typed ones then as "Template" and "Negative Template", as the dynamic prompts extension has
/// it), then "Steps: 20, Sampler: DDIM, CFG scale: 7, Seed: 1, Size: 512x512, ..., Version: ...". Bytes that
/// are not UTF-8 and zero bytes become U+FFFD, so that it always fits a text chunk.
std::string infotext(const Recipe& recipe);
/// One flat JSON object with the field names of the structs; the text of the PNG chunk "brume".
std::string recipe_json(const Recipe& recipe);
/// Both chunks, ready for encode_png.
std::vector<PngText> recipe_texts(const Recipe& recipe);
/// The job's key that a picture's texts carry in our chunk; empty if they carry none. Never throws.
std::string recipe_key(const std::vector<PngText>& texts);

/// The fields found in an infotext of ours or of another program: "Steps" -> "20" and so on, with "Prompt"
/// and "Negative prompt"; values quoted with JSON strings are unquoted. Never throws: what cannot be read
/// stays in the prompt. As in A1111, the first line that starts with "Negative prompt:" ends the prompt, so a
/// prompt with such a line inside comes back exactly only from the JSON.
std::vector<std::pair<std::string, std::string>> parse_infotext(const std::string& text);

}  // namespace brume
