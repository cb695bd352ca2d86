#include "brume/text/clip_text_config.h"

#include "brume/base/config_file.h"

namespace brume {

namespace {

constexpr int64_t kMost = 1 << 20;

/// Keys that say how the model was made or trained, or that every transformers config carries: nothing for
/// inference.
constexpr const char* kWithoutEffect[] = {
    "architectures",        "attention_dropout", "bos_token_id",        "dropout",     "dtype",
    "initializer_factor",   "initializer_range", "model_type",          "torch_dtype", "transformers_version",
    "pad_token_id",         "use_cache",         "tie_word_embeddings", "return_dict", "output_attentions",
    "output_hidden_states",
};

void check_architecture(const ConfigFile& config) {
  for (const std::string& name : config.get_strings("architectures")) {
    if (name != "CLIPTextModel" && name != "CLIPTextModelWithProjection") {
      config.reject("architectures", "brume supports CLIPTextModel and CLIPTextModelWithProjection");
    }
  }
  config.expect("model_type", {"clip_text_model"});
}

bool has_projection(const ConfigFile& config) {
  for (const std::string& name : config.get_strings("architectures")) {
    if (name == "CLIPTextModelWithProjection") return true;
  }
  return false;
}

}  // namespace

ClipTextConfig ClipTextConfig::read(const ConfigFile& config, std::vector<std::string>& ignored) {
  check_architecture(config);
  config.expect("use_attention_mask", {"false"});
  config.expect("hidden_act", {"gelu", "quick_gelu"});
  ClipTextConfig sizes{};
  // The defaults are CLIPTextConfig's own.
  sizes.vocab_size = config.get_int("vocab_size", 49408, 1, kMost);
  sizes.width = config.get_int("hidden_size", 512, 1, kMost);
  sizes.intermediate = config.get_int("intermediate_size", 2048, 1, kMost);
  sizes.layers = config.get_int("num_hidden_layers", 12, 1, 1024);
  sizes.heads = config.get_int("num_attention_heads", 8, 1, 1024);
  sizes.max_tokens = config.get_int("max_position_embeddings", 77, 2, kMost);
  sizes.end_token = config.get_int("eos_token_id", 49407, 0, kMost);
  sizes.activation = config.get_string("hidden_act", "quick_gelu") == "gelu" ? TextActivation::kGelu
                                                                             : TextActivation::kQuickGelu;
  sizes.norm_eps = config.get_number("layer_norm_eps", 1e-5, 0, 1);
  const int64_t projection = config.get_int("projection_dim", 512, 1, kMost);
  if (has_projection(config)) sizes.projection_width = projection;
  if (sizes.width % sizes.heads != 0) config.reject("num_attention_heads", "it must divide hidden_size");
  for (const char* key : kWithoutEffect) config.has(key);
  config.note_unread(ignored);
  return sizes;
}

}  // namespace brume
