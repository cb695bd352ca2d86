#include <memory>
#include <span>

#include <unistd.h>

#include "brume/base/file.h"
#include "brume/text/tokenize_report.h"
#include "brume/text/tokenizer.h"
#include "commands.h"
#include "values.h"

namespace brume::cli {

namespace {

struct TokenizeOptions {
  std::string text;
  std::string model;
};

int tokenize(const TokenizeOptions& options) {
  const std::filesystem::path model = options.model.empty() ? embedded_model() : options.model;
  const Tokenizer tokenizer = Tokenizer::open(model / "tokenizer");
  const std::string report = tokenize_report(tokenizer, options.text) + "\n";
  write_all(STDOUT_FILENO, std::as_bytes(std::span(report)), "standard output");
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command =
      program.add_subcommand("tokenize", "Show how a model reads a text: tokens, ids, what is cut (JSON)");
  command->add_option("text", options->text, "The text")->required();
  command->add_option("-m,--model", options->model, "Model directory (default: the embedded model)")
      ->check(not_empty());
  command->callback([options, &chosen] { chosen = [options] { return tokenize(*options); }; });
}

}  // namespace brume::cli
