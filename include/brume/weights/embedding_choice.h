#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace brume {

/// An embedding file (EmbeddingFile), and the word that stands for it.
struct EmbeddingChoice {
  std::filesystem::path file;
  std::string name;
};

/// Reads "FILE" or "FILE:NAME"; without one the name is the file's, its ending left out. Throws kUsage.
EmbeddingChoice embedding_choice(const std::string& text);
/// Reads back as the same choice.
std::string choice_text(const EmbeddingChoice& choice);
/// Throws kModelInvalid for a name that nobody can write in a prompt, or that recipes could not list.
void check_name(const EmbeddingChoice& choice);
/// The files of a directory that may be embeddings (.pt, .bin, .safetensors), sorted. Throws kInputInvalid
/// where it is none.
std::vector<EmbeddingChoice> embeddings_in(const std::filesystem::path& directory);

}  // namespace brume
