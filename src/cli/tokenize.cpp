#include <memory>

#include "brume/text/tokenize_report.h"
#include "brume/text/tokenizer.h"
#include "commands.h"
#include "model_tokenizer.h"
#include "shipped.h"
#include "standard_output.h"
#include "values.h"

namespace brume::cli {

namespace {

struct TokenizeOptions {
  std::string text;
  std::string model;
};

int tokenize(const TokenizeOptions& options) {
  const std::filesystem::path model = options.model.empty() ? embedded_model() : options.model;
  const Tokenizer tokenizer = model_tokenizer(model);
  print_text(tokenize_report(tokenizer, options.text) + "\n");
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command =
      program.add_subcommand("tokenize", "Show how a model reads a text: tokens, ids, what is cut (JSON)");
  command->add_option("text", options->text, "The text")->required();
  command
      ->add_option("-m,--model", options->model,
                   "Model directory, or a checkpoint of one file (default: the embedded model)")
      ->check(not_empty());
  command->callback([options, &chosen] { chosen = [options] { return tokenize(*options); }; });
}

}  // namespace brume::cli
