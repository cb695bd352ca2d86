#include "brume/base/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "brume/base/file.h"

namespace brume {

namespace {

constexpr uint64_t kBlock = uint64_t{1} << 20;

/// SHA-256 of bytes that come one after the other.
class Sum {
 public:
  Sum() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }

  void add(std::span<const std::byte> bytes) {
    require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }

  Sha256 finish() {
    Sha256 digest{};
    require(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
    return digest;
  }

 private:
  static void require(bool worked) {
    if (!worked) throw Error(ExitCode::kOutOfMemory, "SHA-256", "OpenSSL cannot compute it");
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

Sha256 sha256(std::span<const std::byte> bytes) {
  Sum sum;
  sum.add(bytes);
  return sum.finish();
}

uint64_t short_digest(std::string_view text) {
  const Sha256 digest = sha256(std::as_bytes(std::span(text)));
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof(number); ++i) number = number << 8 | digest[i];
  return number;
}

Sha256 sha256_of_file(const std::filesystem::path& path, ExitCode code, uint64_t first) {
  const InputFile file(path, code);
  std::vector<std::byte> block(static_cast<size_t>(std::min(file.size(), kBlock)));
  Sum sum;
  for (uint64_t at = first; at < file.size(); at += kBlock) {
    const auto part = std::span(block).first(static_cast<size_t>(std::min(kBlock, file.size() - at)));
    file.read_at(at, part);
    sum.add(part);
  }
  return sum.finish();
}

std::string hex_digits(std::span<const uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace brume
