#include <utility>

#include "checkpoint_corpus.h"
#include "pickle_assembler.h"
#include "zip_assembler.h"

namespace brume::testing_corpus {

namespace {

using namespace std::string_literals;

class Corpus {
 public:
  /// A whole pickle, with one storage of 16 bytes.
  void whole(const std::string& name, const std::string& message, const std::string& pickle) {
    cases_.push_back({name, message, [pickle] { return checkpoint_bytes(pickle, {std::string(16, '\1')}); }});
  }
  /// A state dict of one tensor, named "w".
  void tensor(const std::string& name, const std::string& problem, const Pickle::Tensor& tensor) {
    whole(name, "tensor \"w\": " + problem, dict_of({{"w", tensor}}));
  }
  /// A call of _rebuild_tensor_v2 (or another) with these arguments.
  void call(const std::string& name, const std::string& problem, const Pickle& arguments,
            const std::string& callee = "_rebuild_tensor_v2") {
    Pickle pickle;
    pickle.raw("}").text("w").global("torch._utils", callee).raw("(");
    pickle.raw(arguments.stopped().substr(2, arguments.at() - 2)).raw("t");
    const std::string place = "data.pkl, byte " + std::to_string(pickle.at()) + ": ";
    whole(name, place + problem, pickle.raw("Rs").stopped());
  }
  std::vector<HostileCheckpoint> take() { return std::move(cases_); }

 private:
  std::vector<HostileCheckpoint> cases_;
};

void add_places(Corpus& c) {
  c.tensor("NoSuchStorage", "its storage data/7 is not in the archive", {.key = "7"});
  c.tensor("StorageKeyWithAPath", "its storage data/../0 is not in the archive", {.key = "../0"});
  c.tensor("StorageSmallerThanItSays",
           "its storage data/0 is to hold 5 elements of 4 bytes, and has 16 bytes", {.elements = 5});
  c.tensor("StorageLargerThanItSays", "its storage data/0 is to hold 3 elements of 4 bytes, and has 16 bytes",
           {.elements = 3, .shape = {3}});
  c.tensor("StorageOfAWiderType", "its storage data/0 is to hold 4 elements of 8 bytes",
           {.type = "DoubleStorage"});
  c.tensor("StorageOfNegativeSize", "its storage data/0 is to hold -4 elements", {.elements = -4});
  c.tensor("StorageSizeThatWraps", "its storage data/0 is to hold 4611686018427387908 elements",
           {.elements = (int64_t{1} << 62) + 4});
  auto beyond = [](const std::string& place) { return place + " goes beyond its storage of 4 elements"; };
  c.tensor("BeyondItsStorage", beyond("shape [5] with strides [1] from element 0"), {.shape = {5}});
  c.tensor("OffsetBeyondItsStorage", beyond("shape [4] with strides [1] from element 1"), {.offset = 1});
  c.tensor("NegativeOffset", "the offset -1 is negative", {.offset = -1});
  c.tensor("OffsetThatWraps", beyond("shape [4] with strides [1] from element 9223372036854775807"),
           {.offset = INT64_MAX});
  c.tensor("NegativeDimension", "the dimension -1 is negative", {.shape = {-1, -4}, .strides = {4, 1}});
  c.tensor("NegativeStride", "the stride -1 is negative", {.offset = 3, .strides = {-1}});
  constexpr int64_t kWide = int64_t{1} << 32;
  c.tensor("ShapeThatWrapsToZero",
           beyond("shape [4294967296, 4294967296] with strides [4294967296, 1] from element 0"),
           {.shape = {kWide, kWide}, .strides = {kWide, 1}});
  c.tensor("ShapeThatWrapsToFour",
           beyond("shape [4611686018427387905, 4] with strides [4, 1] from element 0"),
           {.shape = {(int64_t{1} << 62) + 1, 4}, .strides = {4, 1}});
  c.tensor("StrideThatWraps", beyond("shape [3, 2] with strides [9223372036854775807, 1] from element 0"),
           {.shape = {3, 2}, .strides = {INT64_MAX, 1}});
  c.tensor("StrideOfOneRowMore", beyond("shape [2, 2] with strides [3, 1] from element 0"),
           {.shape = {2, 2}, .strides = {3, 1}});
  c.tensor("Expanded", "its elements overlap: shape [1000000000], strides [0]",
           {.shape = {1'000'000'000}, .strides = {0}});
  c.tensor("OverlappingRows", "its elements overlap: shape [2, 3], strides [1, 1]",
           {.shape = {2, 3}, .strides = {1, 1}});
}

void add_calls(Corpus& c) {
  auto storage = [] { return Pickle().storage("FloatStorage", "0", 4); };
  c.call("NoStorage", "a tensor is not made of a storage", Pickle().text("0").raw("K\0)N\x89N"s));
  c.call("OffsetOfText", "a tensor's offset is not an integer of 64 bits",
         storage().text("0").raw("))\x89N"));
  c.call("OffsetOfARealNumber", "a tensor's offset is not an integer", storage().real(0).raw("))\x89N"));
  c.call("HugeOffset", "a tensor's offset is not an integer of 64 bits",
         storage().raw("\x8a\x09\0\0\0\0\0\0\0\0\x01))\x89N"s));
  c.call("ShapeOfReals", "a dimension is not an integer",
         storage().raw("K\0"s).real(4).raw("\x85K\x01\x85\x89N"));
  c.call("ShapeOfTexts", "a dimension is not an integer",
         storage().raw("K\0"s).text("4").raw("\x85K\x01\x85\x89N"));
  c.call("ShapeOfABool", "a dimension is not an integer", storage().raw("K\0\x88\x85K\x01\x85\x89N"s));
  c.call("ShapeOfAList", "a tensor's shape is not a tuple",
         storage().raw("K\0]K\x04"
                       "aK\x01\x85\x89N"s));
  c.call("StridesOfNone", "a tensor's strides is not a tuple", storage().raw("K\0K\x04\x85N\x89N"s));
  c.call("StridesOfAnotherLength", "a tensor's shape and strides are not of one length",
         storage().raw("K\0K\x04\x85)\x89N"s));
  c.call(
      "NineDimensions", "a tensor's shape has 9 values, more than the limit of 8",
      storage().raw("K\0"s).tuple(std::vector<int64_t>(9, 1)).tuple(std::vector<int64_t>(9, 1)).raw("\x89N"));
  c.call("RequiresGradOfText", "requires_grad is not a bool", storage().raw("K\0))"s).text("no").raw("N"));
  c.call("TooFewValues", "a tensor is made of 3 values", storage().raw("K\0)"s));
  c.call("TooManyValues", "a tensor is made of 8 values", storage().raw("K\0))\x89NNN"s));
  c.call("NoValues", "a tensor is made of 0 values", Pickle());
  c.call("Negated", "a tensor with metadata of its own is not supported",
         storage().raw("K\0))\x89N}"s).text("neg").raw("\x88s"));
  c.call("OldCallWithNewValues", "a tensor is made of 6 values", storage().raw("K\0))\x89N"s),
         "_rebuild_tensor");
  c.call("ParameterOfText", "a parameter is not made of a tensor", Pickle().text("0").raw("\x88N"),
         "_rebuild_parameter");
  c.call("ParameterOfAStorage", "a parameter is not made of a tensor", storage().raw("\x88N"),
         "_rebuild_parameter");
  c.call("ALongCall",
         "what torch._utils._rebuild_tensor_v2 is called with has 17 values, more than the limit of 16",
         Pickle().raw("NNNNNNNNNNNNNNNNN"));
}

/// Tensors that say their type themselves.
void add_typed_calls(Corpus& c) {
  const std::string v3 = "_rebuild_tensor_v3";
  auto typed = [] { return Pickle().storage("FloatStorage", "0", 4).raw("K\0))\x89N"s); };
  auto bytes = [](int64_t size) {
    Pickle pickle;
    pickle.raw("(").text("storage").global("torch.storage", "UntypedStorage").text("0").text("cpu");
    return pickle.integer(size).raw("tQ");
  };
  c.call("ATypeTwice", "a tensor of a storage with a type says one", typed().global("torch", "float8_e5m2"),
         v3);
  c.call("NoType", "a tensor of a storage without a type says none", bytes(16).raw("K\0))\x89N"s));
  c.call("ATypeLeftOut", "a tensor is made of 6 values", bytes(16).raw("K\0))\x89N"s), v3);
  c.call("ATypeOfText", "a tensor's type is none", bytes(16).raw("K\0))\x89N"s).text("float8_e5m2"), v3);
  c.call("ATypeOfAStorage", "a tensor's type is none",
         bytes(16).raw("K\0))\x89N"s).global("torch", "FloatStorage"), v3);
  auto tensor = [&](const std::string& name, const std::string& problem, const Pickle& storage,
                    const std::vector<int64_t>& shape) {
    Pickle pickle;
    pickle.raw("}").text("w").global("torch._utils", v3).raw("(");
    pickle.raw(storage.stopped().substr(2, storage.at() - 2))
        .raw("K\0"s)
        .tuple(shape)
        .tuple({1})
        .raw("\x89N");
    c.whole(name, "tensor \"w\": " + problem, pickle.global("torch", "uint64").raw("tRs").stopped());
  };
  tensor("BytesThatAreNotThere", "its storage data/0 is to hold 17 elements of 1 bytes, and has 16 bytes",
         bytes(17), {2});
  tensor("MoreThanItsBytes",
         "shape [3] with strides [1] from element 0 goes beyond its storage of 2 elements", bytes(16), {3});
}

void add_names(Corpus& c) {
  c.whole("NoDict", "data.pkl holds no dict of tensors", Pickle().tensor({}).stopped());
  c.whole("AList", "data.pkl holds no dict of tensors", Pickle().raw("]").tensor({}).raw("a").stopped());
  c.whole("DuplicateKey", "data.pkl: duplicate key \"w\"", dict_of({{"w", {}}, {"v", {}}, {"w", {}}}));
  Pickle spellings;
  spellings.raw("}(").text("w").tensor({}).short_text("w").tensor({}).raw("u");
  c.whole("DuplicateKeyInAnotherSpelling", "data.pkl: duplicate key \"w\"", spellings.stopped());
  Pickle equal;
  equal.raw("}(").integer(1).tensor({}).real(1).tensor({}).raw("u");
  c.whole("DuplicateNumber", "data.pkl: duplicate key 1", equal.stopped());
  Pickle two;
  two.raw("}(").text("a").raw("}").text("b").tensor({}).raw("s").text("a.b").tensor({}).raw("u");
  c.whole("OneNameByTwoWays", "data.pkl: two tensors are named \"a.b\"", two.stopped());
  Pickle hidden;
  hidden.raw("}(").text("state_dict").raw("}").text("w").tensor({}).raw("s").text("w").tensor({}).raw("u");
  c.whole("ASecondTensorBesideTheStateDict", "data.pkl: two tensors are named \"w\"", hidden.stopped());
  c.whole("NameWithANul", "the name \"a\\x00b\" holds a NUL byte or is not UTF-8", dict_of({{"a\0b"s, {}}}));
  c.whole("NameNotUtf8", "the name \"a\\xff\" holds a NUL byte or is not UTF-8", dict_of({{"a\xff", {}}}));
  c.whole("NameOf1025Bytes", "is longer than the limit of 1024 bytes",
          dict_of({{std::string(1025, 'n'), {}}}));
  c.whole("NameLongByItsPath", "is longer than the limit of 1024 bytes",
          Pickle()
              .raw("}")
              .text(std::string(1000, 'n'))
              .raw("}")
              .text(std::string(24, 'n'))
              .tensor({})
              .raw("ss")
              .stopped());
  c.whole("EscapeSequenceInAName", "tensor \"\\x1b[2J\": its storage", dict_of({{"\x1b[2J", {.key = "7"}}}));
  Pickle many;
  many.raw("}").text("all").raw("](").tensor({}).put(1);
  for (int i = 0; i < 65'536; ++i) many.get(1);
  c.whole("OneTensorUnder65537Names", "there are more tensors than the limit of 65536",
          many.raw("es").stopped());
}

}  // namespace

std::vector<HostileCheckpoint> hostile_tensors() {
  Corpus corpus;
  add_places(corpus);
  add_calls(corpus);
  add_typed_calls(corpus);
  add_names(corpus);
  return corpus.take();
}

std::vector<HostileCheckpoint> hostile_checkpoints() {
  std::vector<HostileCheckpoint> all;
  for (const auto& part : {hostile_pickles(), hostile_archives(), hostile_tensors()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace brume::testing_corpus
