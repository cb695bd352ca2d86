#include "brume/weights/adapters/adapter_form.h"

#include <algorithm>
#include <initializer_list>

#include "brume/base/checked.h"

namespace brume {

namespace {

using Shape = std::vector<uint64_t>;

/// A shape without the ones that make a matrix a convolution of one pixel.
Shape core(std::span<const uint64_t> shape) {
  Shape cut(shape.begin(), shape.end());
  while (cut.size() > 2 && cut.back() == 1) cut.pop_back();
  return cut;
}

/// Of all but the first; nothing where it overflows.
std::optional<uint64_t> rest(std::span<const uint64_t> shape) {
  std::optional<uint64_t> count = 1;
  for (size_t i = 1; i < shape.size() && count; ++i) count = checked_multiply(*count, shape[i]);
  return count;
}

/// The shapes of one module's tensors, by what they are.
class Shapes {
 public:
  Shapes(const AdapterModule& module, const std::string& file) : module_(module), file_(file) {}

  bool has(AdapterRole role) const { return module_.find(role) != nullptr; }
  bool has_any(std::initializer_list<AdapterRole> roles) const {
    return std::any_of(roles.begin(), roles.end(), [this](AdapterRole role) { return has(role); });
  }

  /// With at least two dimensions, and no size of nothing.
  const Shape& of(AdapterRole role) const {
    const StoredTensor& tensor = require(role);
    const bool empty = std::find(tensor.shape.begin(), tensor.shape.end(), 0U) != tensor.shape.end();
    if (empty || tensor.shape.size() < 2)
      reject("\"" + tensor.name + "\" has shape " + shape_text(tensor.shape));
    return tensor.shape;
  }

  /// A factor that must be a matrix, whatever ones follow.
  Shape matrix(AdapterRole role) const {
    Shape cut = core(of(role));
    if (cut.size() != 2)
      reject("\"" + require(role).name + "\" has shape " + shape_text(of(role)) + ", not a matrix's");
    return cut;
  }

  /// The size that two factors have in common.
  uint64_t rank(AdapterRole a, uint64_t of_a, AdapterRole b, uint64_t of_b) const {
    if (of_a != of_b)
      reject("\"" + require(a).name + "\" has shape " + shape_text(of(a)) + ", but \"" + require(b).name +
             "\" " + shape_text(of(b)) + ": ranks " + std::to_string(of_a) + " and " + std::to_string(of_b));
    if (of_a > kMostAdapterRank)
      reject("\"" + require(a).name + "\" has rank " + std::to_string(of_a) + ", more than " +
             std::to_string(kMostAdapterRank));
    return of_a;
  }

  uint64_t product(uint64_t a, uint64_t b) const {
    const std::optional<uint64_t> both = checked_multiply(a, b);
    if (!both) reject("\"" + first() + "\" makes a change of an impossible size");
    return *both;
  }

  [[noreturn]] void reject(const std::string& problem) const {
    throw Error(ExitCode::kModelInvalid, file_, problem, "fetch the file again, or another one");
  }
  [[noreturn]] void incomplete(const std::string& what) const {
    reject("\"" + first() + "\" is there without " + what);
  }
  std::string first() const { return module_.tensors.begin()->second.name; }

 private:
  const StoredTensor& require(AdapterRole role) const {
    const StoredTensor* tensor = module_.find(role);
    if (tensor == nullptr) incomplete("the other factor of its product");
    return *tensor;
  }

  const AdapterModule& module_;
  const std::string& file_;
};

AdapterForm lora(const Shapes& shapes) {
  if (!shapes.has(AdapterRole::kUp)) shapes.incomplete("lora_up (lora_B)");
  if (!shapes.has(AdapterRole::kDown)) shapes.incomplete("lora_down (lora_A)");
  const Shape up = shapes.matrix(AdapterRole::kUp);
  if (!shapes.has(AdapterRole::kMid)) {
    const Shape down = core(shapes.of(AdapterRole::kDown));
    const uint64_t rank = shapes.rank(AdapterRole::kUp, up[1], AdapterRole::kDown, down[0]);
    Shape change = down;
    change[0] = up[0];
    return {AdapterKind::kLora, change, rank};
  }
  const Shape down = shapes.matrix(AdapterRole::kDown);
  const Shape& mid = shapes.of(AdapterRole::kMid);
  shapes.rank(AdapterRole::kUp, up[1], AdapterRole::kMid, mid[0]);
  const uint64_t rank = shapes.rank(AdapterRole::kDown, down[0], AdapterRole::kMid, mid[1]);
  Shape change = mid;
  change[0] = up[0];
  change[1] = down[1];
  return {AdapterKind::kLora, core(change), rank};
}

/// a [out, r] b [r, ...], or around a core t [r, s, kh, kw]: a [r, out], b [s, in].
struct Product {
  AdapterRole a;
  AdapterRole b;
  std::optional<AdapterRole> core;
};

AdapterForm form_of(const Shapes& shapes, const Product& product, AdapterKind kind) {
  const Shape a = shapes.matrix(product.a);
  if (!product.core) {
    Shape change = core(shapes.of(product.b));
    const uint64_t rank = shapes.rank(product.a, a[1], product.b, change[0]);
    change[0] = a[0];
    return {kind, change, rank};
  }
  const Shape b = shapes.matrix(product.b);
  Shape change = shapes.of(*product.core);
  shapes.rank(product.a, a[0], *product.core, change[0]);
  const uint64_t rank = shapes.rank(product.b, b[0], *product.core, change[1]);
  change[0] = a[1];
  change[1] = b[1];
  return {kind, core(change), rank};
}

std::optional<AdapterRole> if_there(const Shapes& shapes, AdapterRole role) {
  return shapes.has(role) ? std::optional(role) : std::nullopt;
}

AdapterForm loha(const Shapes& shapes) {
  using enum AdapterRole;
  for (const auto& [role, name] : {std::pair{kHadaW1A, "hada_w1_a"}, std::pair{kHadaW1B, "hada_w1_b"},
                                   std::pair{kHadaW2A, "hada_w2_a"}, std::pair{kHadaW2B, "hada_w2_b"}}) {
    if (!shapes.has(role)) shapes.incomplete(name);
  }
  AdapterForm first = form_of(shapes, {kHadaW1A, kHadaW1B, if_there(shapes, kHadaT1)}, AdapterKind::kLoha);
  const AdapterForm second =
      form_of(shapes, {kHadaW2A, kHadaW2B, if_there(shapes, kHadaT2)}, AdapterKind::kLoha);
  if (first.shape != second.shape)
    shapes.reject("\"" + shapes.first() + "\" and its fellows make products of shapes " +
                  shape_text(first.shape) + " and " + shape_text(second.shape));
  return first;
}

/// One of the two that are multiplied.
AdapterForm lokr_part(const Shapes& shapes, AdapterRole whole, const Product& product,
                      const std::string& name) {
  const bool factors = shapes.has(product.a) || shapes.has(product.b) || product.core;
  if (shapes.has(whole)) {
    if (factors) shapes.reject("\"" + shapes.first() + "\" has " + name + " both whole and in factors");
    return {AdapterKind::kLokr, core(shapes.of(whole)), std::nullopt};
  }
  if (!shapes.has(product.a) || !shapes.has(product.b)) shapes.incomplete(name);
  return form_of(shapes, product, AdapterKind::kLokr);
}

AdapterForm lokr(const Shapes& shapes) {
  using enum AdapterRole;
  const AdapterForm first = lokr_part(shapes, kLokrW1, {kLokrW1A, kLokrW1B, std::nullopt}, "lokr_w1");
  const AdapterForm second =
      lokr_part(shapes, kLokrW2, {kLokrW2A, kLokrW2B, if_there(shapes, kLokrT2)}, "lokr_w2");
  if (first.shape.size() != 2)
    shapes.reject("\"" + shapes.first() + "\": lokr_w1 is " + shape_text(first.shape) + ", not a matrix");
  Shape change = second.shape;
  change[0] = shapes.product(first.shape[0], change[0]);
  change[1] = shapes.product(first.shape[1], change[1]);
  return {AdapterKind::kLokr, core(change), second.rank ? second.rank : first.rank};
}

}  // namespace

std::string shape_text(std::span<const uint64_t> shape) {
  std::string text = "[";
  for (const uint64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

std::optional<AdapterForm> adapter_form(const AdapterModule& module, const std::string& file) {
  using enum AdapterRole;
  const Shapes shapes(module, file);
  const bool is_lora = shapes.has_any({kDown, kUp, kMid});
  const bool is_loha = shapes.has_any({kHadaW1A, kHadaW1B, kHadaW2A, kHadaW2B, kHadaT1, kHadaT2});
  const bool is_lokr = shapes.has_any({kLokrW1, kLokrW1A, kLokrW1B, kLokrW2, kLokrW2A, kLokrW2B, kLokrT2});
  const int kinds = (is_lora ? 1 : 0) + (is_loha ? 1 : 0) + (is_lokr ? 1 : 0) + (shapes.has(kDiff) ? 1 : 0);
  if (kinds > 1) shapes.reject("\"" + shapes.first() + "\" is of a layer with changes of two kinds");
  if (shapes.has(kUpBias) && !is_lora) shapes.incomplete("factors");
  if (is_lora) return lora(shapes);
  if (is_loha) return loha(shapes);
  if (is_lokr) return lokr(shapes);
  if (const StoredTensor* change = module.find(kDiff))
    return AdapterForm{AdapterKind::kFull, core(change->shape), {}};
  if (shapes.has(kDiffBias)) return std::nullopt;
  shapes.incomplete("factors");
}

bool fits(const AdapterForm& form, std::span<const uint64_t> weight) {
  const Shape wanted = core(weight);
  if (form.shape == wanted) return true;
  // LyCORIS keeps the factors of a convolution as matrices.
  return form.shape.size() == 2 && wanted.size() > 2 && form.shape[0] == wanted[0] &&
         rest(wanted) == form.shape[1];
}

}  // namespace brume
