#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "brume/base/error.h"
#include "brume/pipeline/picture_settings.h"
#include "brume/text/tokenize_report.h"
#include "brume/text/tokenizer.h"
#include "brume/text/wildcard_files.h"
#include "brume/weights/embedding_choice.h"
#include "brume/weights/embedding_file.h"
#include "commands.h"
#include "engine_options.h"
#include "model_tokenizer.h"
#include "say.h"
#include "shipped.h"
#include "standard_output.h"
#include "values.h"

namespace brume::cli {

namespace {

struct TokenizeOptions {
  std::string text;
  std::string model;
  std::optional<std::string> compat;
  std::optional<std::filesystem::path> wildcards;
  int64_t steps = 20;
  int64_t seed = 42;
  bool strict = false;
  EmbeddingOptions embeddings;
};

/// Their widths are not looked at: that takes the model's configurations.
std::vector<EmbeddingName> embedding_names(const EmbeddingOptions& options) {
  std::vector<EmbeddingName> names;
  names.reserve(options.files.size());
  for (const std::string& file : options.files) {
    const EmbeddingChoice choice = embedding_choice(file);
    names.push_back({choice.name, EmbeddingFile(choice.file).vectors()});
  }
  if (options.directory.empty()) return names;
  for (const EmbeddingChoice& choice : embeddings_in(options.directory)) {
    try {
      check_name(choice);
      names.push_back({choice.name, EmbeddingFile(choice.file).vectors()});
    } catch (const Error& error) {
      say(std::string("note: left out: ") + error.what());
    }
  }
  return names;
}

int tokenize(const TokenizeOptions& options) {
  check_wildcards(options.wildcards, options.compat);
  const std::filesystem::path model = options.model.empty() ? embedded_model() : options.model;
  const TokenizeReport report = tokenize_report(model_tokenizers(model), options.text,
                                                {.compat = compat_from_name(options.compat.value_or("a1111")),
                                                 .steps = options.steps,
                                                 .seed = static_cast<uint64_t>(options.seed),
                                                 .wildcards = wildcards_in(options.wildcards),
                                                 .embeddings = embedding_names(options.embeddings)});
  print_text(report.json + "\n");
  if (!options.strict) return 0;
  if (report.tokens_cut > 0) {
    throw Error(
        ExitCode::kInputInvalid, "text",
        "too long for this model: its last " + std::to_string(report.tokens_cut) + " tokens are not seen",
        "shorten it, or leave --strict out");
  }
  if (!report.unread.empty())
    throw Error(ExitCode::kInputInvalid, "text", report.unread.front(), "mend it, or leave --strict out");
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = program.add_subcommand(
      "tokenize", "Show how a model reads a prompt: tokens, weights, ids, what is cut (JSON)");
  command->add_option("text", options->text, "The prompt")->required();
  command
      ->add_option("-m,--model", options->model,
                   "Model directory, or a checkpoint of one file (default: the embedded model)")
      ->check(not_empty());
  command
      ->add_option("--compat", options->compat,
                   "Whose prompt it is: a1111, sdcpp or diffusers (default a1111)")
      ->check(one_of({"a1111", "diffusers", "sdcpp"}));
  command->add_option("--steps", options->steps, "Of the walk that [a:b:0.5] is a part of (default 20)")
      ->transform(whole_number(1, kMostSteps));
  command->add_option("-s,--seed", options->seed, "That makes the choices of {a|b} (default 42)")
      ->transform(whole_number(0, std::numeric_limits<int64_t>::max()));
  add_wildcards_option(*command, options->wildcards);
  add_embedding_options(*command, options->embeddings);
  command->add_flag("--strict", options->strict, "Fail where words are cut, or not read as they stand");
  command->callback([options, &chosen] { chosen = [options] { return tokenize(*options); }; });
}

}  // namespace brume::cli
