#include "brume/weights/adapters/adapter_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "brume/base/digest.h"
#include "brume/base/strict_json.h"

namespace brume {

namespace {

using nlohmann::json;

constexpr int kMetadataDepth = 6;

[[noreturn]] void reject(const std::filesystem::path& file, const std::string& problem,
                         const std::string& remedy = "fetch the file again, or another one") {
  throw Error(ExitCode::kModelInvalid, file.string(), problem, remedy);
}

double half(uint16_t bits) {
  constexpr int kMantissa = 10;
  constexpr int kLargest = 31;
  const int exponent = (bits >> kMantissa) & kLargest;
  const int mantissa = bits & ((1 << kMantissa) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == kLargest) return mantissa != 0 ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(mantissa + (1 << kMantissa), exponent - 25);
}

template <class Number>
Number read_as(const std::array<std::byte, 8>& bytes) {
  Number number{};
  std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

/// A tensor of one number; nothing for one of a type that alphas do not have.
std::optional<double> read_number(const SafetensorsFile& file, const StoredTensor& tensor) {
  std::array<std::byte, 8> bytes{};
  file.read(tensor, std::span(bytes).first(static_cast<size_t>(stored_type_bits(tensor.dtype)) / 8));
  switch (tensor.dtype) {
    case StoredType::kF64:
      return read_as<double>(bytes);
    case StoredType::kF32:
      return read_as<float>(bytes);
    case StoredType::kF16:
      return half(read_as<uint16_t>(bytes));
    case StoredType::kBF16:
      return std::bit_cast<float>(static_cast<uint32_t>(read_as<uint16_t>(bytes)) << 16);
    case StoredType::kI64:
      return static_cast<double>(read_as<int64_t>(bytes));
    case StoredType::kI32:
      return read_as<int32_t>(bytes);
    default:
      return std::nullopt;
  }
}

bool is_one_number(const StoredTensor& tensor) {
  return std::all_of(tensor.shape.begin(), tensor.shape.end(), [](uint64_t size) { return size == 1; });
}

/// The ".weight" of a diffusers or PEFT file's module, as `read_adapter_key` names modules.
std::string pattern_name(AdapterTower tower, const std::string& module) {
  const std::string before = tower == AdapterTower::kUNet ? "unet." : "text_encoder.";
  const std::optional<AdapterKey> key = read_adapter_key(before + module + ".alpha");
  return key ? key->module : module;
}

/// "lora_adapter_metadata", which diffusers writes: PEFT's settings of each network, as {"unet.lora_alpha":
/// 4, "unet.alpha_pattern": {"mid_block...to_q": 8}, ...}.
std::map<AdapterTower, AdapterAlphas> peft_alphas(const std::string& text, const std::string& where) {
  const json settings = parse_strict_json(text, kMetadataDepth, where, ExitCode::kModelInvalid);
  std::map<AdapterTower, AdapterAlphas> found;
  for (const auto& [before, tower] :
       {std::pair{"unet.", AdapterTower::kUNet}, std::pair{"text_encoder.", AdapterTower::kText},
        std::pair{"text_encoder_2.", AdapterTower::kText2}}) {
    const auto setting = [&, prefix = std::string(before)](const char* name) {
      const auto at = settings.find(prefix + name);
      return at == settings.end() ? json() : *at;
    };
    AdapterAlphas alphas;
    if (const json alpha = setting("lora_alpha"); alpha.is_number()) alphas.usual = alpha.get<double>();
    if (const json rooted = setting("use_rslora"); rooted.is_boolean()) alphas.root_of_rank = rooted;
    const json patterns = setting("alpha_pattern");
    if (patterns.is_object()) {
      for (const auto& [module, alpha] : patterns.items()) {
        if (alpha.is_number()) alphas.of_modules[pattern_name(tower, module)] = alpha.get<double>();
      }
    }
    if (alphas.usual || alphas.root_of_rank || !alphas.of_modules.empty()) found[tower] = std::move(alphas);
  }
  return found;
}

/// "network_alphas", as diffusers calls them in memory: {"unet.down_blocks....to_q.alpha": 4, ...}.
void add_network_alphas(const std::string& text, const std::string& where,
                        std::map<AdapterTower, AdapterAlphas>& alphas) {
  const json named = parse_strict_json(text, kMetadataDepth, where, ExitCode::kModelInvalid);
  for (const auto& [name, alpha] : named.items()) {
    const std::optional<AdapterKey> key = read_adapter_key(name.ends_with(".alpha") ? name : name + ".alpha");
    if (key && alpha.is_number()) alphas[key->tower].of_modules[key->module] = alpha.get<double>();
  }
}

/// PEFT's patterns may leave the beginning of a name out.
bool is_named(const std::string& module, const std::string& pattern) {
  return module == pattern || module.ends_with("_" + pattern);
}

}  // namespace

const StoredTensor* AdapterModule::find(AdapterRole role) const {
  const auto found = tensors.find(role);
  return found == tensors.end() ? nullptr : &found->second;
}

std::vector<std::string> AdapterModule::keys() const {
  std::vector<std::string> names;
  names.reserve(tensors.size());
  for (const auto& [role, tensor] : tensors) names.push_back(tensor.name);
  return names;
}

AdapterFile::AdapterFile(const std::filesystem::path& path) : file_(path) {
  std::map<std::pair<AdapterTower, std::string>, AdapterModule> modules;
  for (const StoredTensor& tensor : file_.header().tensors) {
    const std::optional<AdapterKey> key = read_adapter_key(tensor.name);
    if (!key) {
      strangers_.push_back(tensor.name);
      continue;
    }
    AdapterModule& module = modules[{key->tower, key->module}];
    module.tower = key->tower;
    module.name = key->module;
    const auto [other, added] = module.tensors.emplace(key->role, tensor);
    if (!added)
      reject(path, "\"" + other->second.name + "\" and \"" + tensor.name + "\" are the same of one layer");
  }
  for (auto& [name, module] : modules) modules_.push_back(std::move(module));
  const auto& metadata = file_.header().metadata;
  const std::string where = path.string() + ": metadata";
  if (const auto settings = metadata.find("lora_adapter_metadata"); settings != metadata.end())
    alphas_ = peft_alphas(settings->second, where);
  if (const auto alphas = metadata.find("network_alphas"); alphas != metadata.end())
    add_network_alphas(alphas->second, where, alphas_);
}

double AdapterFile::scale(const AdapterModule& module, uint64_t rank) const {
  std::optional<double> alpha;
  std::string name = "the alpha in the metadata";
  bool root = false;
  if (const auto tower = alphas_.find(module.tower); tower != alphas_.end()) {
    alpha = tower->second.usual;
    root = tower->second.root_of_rank;
    for (const auto& [pattern, value] : tower->second.of_modules) {
      if (is_named(module.name, pattern)) alpha = value;
    }
  }
  if (const StoredTensor* stored = module.find(AdapterRole::kAlpha)) {
    name = "\"" + stored->name + "\"";
    if (!is_one_number(*stored)) reject(path(), name + " is not one number");
    alpha = read_number(file_, *stored);
    if (!alpha)
      reject(path(), name + " is stored as " + std::string(stored_type_name(stored->dtype)) + ", no alpha");
  }
  const auto size = static_cast<double>(rank);
  if (!alpha) alpha = size;
  if (!std::isfinite(*alpha) || *alpha < 0)
    reject(path(), name + " is " + std::to_string(*alpha) + ", no alpha: it must be finite and not negative");
  return *alpha / (root ? std::sqrt(size) : size);
}

std::string AdapterFile::data_hash() const {
  constexpr size_t kDigits = 64;
  const auto& metadata = file_.header().metadata;
  if (const auto said = metadata.find("sshs_model_hash"); said != metadata.end()) {
    const std::string& hash = said->second;
    if (hash.size() == kDigits && hash.find_first_not_of("0123456789abcdef") == std::string::npos)
      return hash;
  }
  return hex_digits(sha256_of_file(path(), ExitCode::kModelInvalid, file_.data_start()));
}

}  // namespace brume
