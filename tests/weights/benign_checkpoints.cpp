#include <utility>

#include "checkpoint_corpus.h"
#include "pickle_assembler.h"
#include "times.h"
#include "zip_assembler.h"

namespace brume::testing_corpus {

namespace {

using namespace std::string_literals;

/// 0, 1, 2, ...: a storage in which each byte tells its place.
std::string counted(size_t bytes) {
  std::string out;
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(i);
  return out;
}

class Corpus {
 public:
  void whole(const std::string& name, const std::string& bytes, std::vector<std::string> tensors,
             std::vector<std::string> notes = {}) {
    cases_.push_back({name, bytes, std::move(tensors), std::move(notes)});
  }
  /// With one storage of 16 bytes.
  void pickle(const std::string& name, const std::string& pickle, std::vector<std::string> tensors,
              std::vector<std::string> notes = {}) {
    whole(name, checkpoint_bytes(pickle, {counted(16)}), std::move(tensors), std::move(notes));
  }
  std::vector<BenignCheckpoint> take() { return std::move(cases_); }

 private:
  std::vector<BenignCheckpoint> cases_;
};

const std::string kWhole = "000102030405060708090a0b0c0d0e0f";

void add_tensors(Corpus& c) {
  c.pickle("OneTensor", dict_of({{"w", {}}}), {"w F32 [4] " + kWhole});
  c.pickle("NoTensors", Pickle().raw("}").stopped(), {});
  c.pickle("Matrix", dict_of({{"w", {.shape = {2, 2}, .strides = {2, 1}}}}), {"w F32 [2,2] " + kWhole});
  c.pickle("Scalar", dict_of({{"w", {.offset = 3, .shape = {}, .strides = {}}}}), {"w F32 [] 0c0d0e0f"});
  c.pickle("EmptyTensor", dict_of({{"w", {.shape = {0, 3}, .strides = {3, 1}}}}), {"w F32 [0,3] "});
  c.whole("EmptyStorage",
          checkpoint_bytes(dict_of({{"w", {.elements = 0, .shape = {0}, .strides = {1}}}}), {""}),
          {"w F32 [0] "});
  c.pickle("TwoViewsOfOneStorage",
           dict_of({{"a", {.shape = {2}}}, {"b", {.offset = 2, .shape = {2}}}, {"all", {}}}),
           {"a F32 [2] 0001020304050607", "all F32 [4] " + kWhole, "b F32 [2] 08090a0b0c0d0e0f"});
  c.pickle("OneStorageByTwoTypes",
           dict_of({{"a", {}}, {"b", {.type = "HalfStorage", .elements = 8, .shape = {8}}}}),
           {"a F32 [4] " + kWhole, "b F16 [8] " + kWhole});
  c.pickle("Transposed", dict_of({{"w", {.shape = {2, 2}, .strides = {1, 2}}}}),
           {"w F32 [2,2] 0001020308090a0b040506070c0d0e0f"});
  c.pickle(
      "EverySecondColumn",
      dict_of(
          {{"w", {.type = "HalfStorage", .elements = 8, .offset = 1, .shape = {2, 2}, .strides = {4, 2}}}}),
      {"w F16 [2,2] 020306070a0b0e0f"});
  c.pickle(
      "ChannelsLast",
      dict_of(
          {{"w", {.type = "ByteStorage", .elements = 16, .shape = {2, 2, 2, 2}, .strides = {8, 1, 4, 2}}}}),
      {"w U8 [2,2,2,2] 0002040601030507080a0c0e090b0d0f"});
  c.pickle("StrideOfADimensionOfOne", dict_of({{"w", {.shape = {1, 4}, .strides = {77, 1}}}}),
           {"w F32 [1,4] " + kWhole});
  c.pickle("EightDimensions",
           dict_of({{"w", {.shape = {1, 1, 1, 1, 1, 1, 2, 2}, .strides = {4, 4, 4, 4, 4, 4, 2, 1}}}}),
           {"w F32 [1,1,1,1,1,1,2,2] " + kWhole});
  Pickle old;
  old.raw("}").text("w").global("torch._utils", "_rebuild_tensor").raw("(").storage("FloatStorage", "0", 4);
  c.pickle("OldRebuild", old.raw("K\0K\x04\x85K\x01\x85tRs"s).stopped(), {"w F32 [4] " + kWhole});
  Pickle parameter;
  parameter.raw("}").text("w").global("torch._utils", "_rebuild_parameter").raw("(").tensor({}).raw("\x88");
  c.pickle("Parameter", parameter.ordered_dict().raw("tRs").stopped(), {"w F32 [4] " + kWhole});
  Pickle size;
  size.raw("}")
      .text("w")
      .global("torch._utils", "_rebuild_tensor_v2")
      .raw("(")
      .storage("FloatStorage", "0", 4);
  size.raw("K\0"s).global("torch", "Size").raw("K\x04\x85\x85RK\x01\x85\x89").ordered_dict().raw("}tRs");
  c.pickle("SizeAndEmptyMetadata", size.stopped(), {"w F32 [4] " + kWhole});
  Pickle tied;
  tied.raw("}(").text("a").tensor({}).put(1).text("b").get(1).raw("u");
  c.pickle("OneTensorUnderTwoNames", tied.stopped(), {"a F32 [4] " + kWhole, "b F32 [4] " + kWhole});
}

void add_pickles(Corpus& c) {
  const std::vector<std::string> one{"w F32 [4] " + kWhole};
  Pickle ordered;
  ordered.ordered_dict().raw("(").text("w").tensor({}).raw("u}").text("_metadata").ordered_dict().raw("sb");
  c.pickle("OrderedDictWithMetadata", ordered.stopped(), one);
  c.pickle("OrderedDictByNewobj",
           Pickle().global("collections", "OrderedDict").raw(")\x81").text("w").tensor({}).raw("s").stopped(),
           one);
  Pickle pairs;
  pairs.global("collections", "OrderedDict").raw("](](").text("w").tensor({}).raw("ee\x85R");
  c.pickle("OrderedDictOfPairs", pairs.stopped(), one);
  Pickle python2;
  python2.raw("}").short_text("w").tensor({}).raw("s");
  c.pickle("NamesOfPython2", python2.stopped(), one);
  Pickle memo;
  memo.raw("}r\0\0\0\0"s)
      .raw("(")
      .text("w")
      .tensor({})
      .raw("r\x10\x27\0\0"s)
      .text("v")
      .raw("j\x10\x27\0\0u"s);
  c.pickle("LongMemoIndices", memo.stopped(), {"v F32 [4] " + kWhole, "w F32 [4] " + kWhole});
  Pickle settings;
  settings.raw("}(")
      .text("epoch")
      .integer(7)
      .text("global_step")
      .integer(int64_t{1} << 40)
      .text("loss")
      .real(0.125);
  settings.text("pytorch-lightning_version").text("1.4.2").text("done").raw("\x88").text("nothing").raw("N");
  settings.text("huge")
      .raw("\x8a\x09\0\0\0\0\0\0\0\0\x01"s)
      .text("minus")
      .integer(-3)
      .text("empty")
      .raw("\x8a\0"s);
  settings.text("least")
      .raw("\x8a\x08\0\0\0\0\0\0\0\x80"s)
      .text("wide")
      .raw("\x8a\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
  settings.text("state_dict").raw("}").text("w").tensor({}).raw("su");
  c.pickle(
      "LightningSettings", settings.stopped(), one,
      {"done = true", "empty = 0", "epoch = 7", "global_step = 1099511627776", "least = -9223372036854775808",
       "loss = 0.125", "minus = -3", "pytorch-lightning_version = 1.4.2", "wide = -1"});
  Pickle others;
  others.raw("}(")
      .text("state_dict")
      .raw("}")
      .text("w")
      .tensor({})
      .raw("s")
      .text("optimizer_states")
      .raw("]}");
  others.integer(0).tensor({.offset = 1, .shape = {3}}).raw("sa").text("callbacks").raw("}");
  others.global("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint").raw("}").text("best");
  others.tensor({.shape = {}, .strides = {}}).raw("ssu");
  c.pickle("OptimizerAndCallback", others.stopped(),
           {"callbacks.pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint.best F32 [] 00010203",
            "w F32 [4] " + kWhole, "optimizer_states.0.0 F32 [3] 0405060708090a0b0c0d0e0f"},
           {"pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint: not read"});
  Pickle callback;
  callback.raw("}(").text("w").tensor({}).text("callback");
  callback.global("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
      .raw(")\x81}")
      .text("best");
  callback.tensor({}).raw("sbu");
  c.pickle("CallbackObjectWithATensor", callback.stopped(), one,
           {"pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint: not read (1 object)",
            "1 tensors have no name, inside of what is not read: not listed"});
  Pickle numpy;
  numpy.raw("}(").text("w").tensor({}).text("score").global("numpy.core.multiarray", "scalar");
  numpy.global("numpy", "dtype")
      .text("f8")
      .raw("K\0K\x01\x87R(K\x03"s)
      .text("<")
      .raw("NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"s);
  numpy.global("_codecs", "encode").text("\0\0\0\0\0\0\xf0?"s).text("latin1").raw("\x86R\x86R").text("seen");
  numpy.global("__builtin__", "set").raw("]\x85Ru");
  c.pickle("NumpyScalarAndSet", numpy.stopped(), one,
           {"numpy.core.multiarray.scalar: not read (1 object)", "numpy.dtype: not read (1 object)",
            "_codecs.encode: not read (1 object)", "__builtin__.set: not read (1 object)"});
  Pickle itself;
  itself.raw("}").put(1).raw("(").text("w").tensor({}).text("self").get(1).text("list").raw("](").get(1).raw(
      "eu");
  c.pickle("ADictInItself", itself.stopped(), one);
  c.pickle("DepthOf64",
           Pickle().raw("}").text("a").raw(times("]", 63)).raw(times("a", 62)).raw("s").stopped(), {});
  // 2^60 names for one tensor, were every container walked once for each of its names.
  Pickle bomb;
  bomb.raw("}").text("w").tensor({}).raw("\x85").put(0);
  for (uint8_t i = 0; i < 60; ++i) bomb.get(i).raw("\x86").put(i + 1);
  c.pickle("MemoBomb", bomb.raw("s").stopped(), {"w" + times(".0", 61) + " F32 [4] " + kWhole});
}

void add_archives(Corpus& c) {
  const std::vector<std::string> one{"w F32 [4] " + kWhole};
  const std::string pickle = dict_of({{"w", {}}});
  auto items = [&] { return checkpoint_items(pickle, {counted(16)}); };
  c.whole("Zip64", zip_bytes(items(), {.zip64 = true}), one);
  std::vector<ZipItem> wide = items();
  for (ZipItem& item : wide) item.zip64 = true;
  c.whole("Zip64Entries", zip_bytes(wide, {.zip64 = true}), one);
  std::vector<ZipItem> follow = items();
  for (ZipItem& item : follow) item.flags = 0x0808;
  c.whole("SizesAfterTheData", zip_bytes(follow), one);
  std::vector<ZipItem> padded = items();
  padded[2].local_extra = "FB\x15\0"s + std::string(21, 'Z');
  c.whole("AlignedStorage", zip_bytes(padded), one);
  std::vector<ZipItem> more = items();
  for (ZipItem& item : more) item.name.replace(0, 7, "v1-5 pruned");
  more.push_back({.name = "v1-5 pruned/data/1", .data = "nobody's"});
  more.push_back({.name = "v1-5 pruned/.data/serialization_id", .data = "0123"});
  more.push_back({.name = "v1-5 pruned/.format_version", .data = "1"});
  more.push_back({.name = "v1-5 pruned/.storage_alignment", .data = "64"});
  std::swap(more.front(), more.back());
  c.whole("EveryEntryThatTorchWrites", zip_bytes(more), one);
  std::vector<ZipItem> unchecked = items();
  for (ZipItem& item : unchecked) item.crc = 0;
  c.whole("WithoutChecksums", zip_bytes(unchecked), one);
  std::vector<ZipItem> few = items();
  few.erase(few.begin() + 3);
  few.erase(few.begin() + 1);
  c.whole("WithoutVersionAndByteOrder", zip_bytes(few), one);
  const std::string inner = checkpoint_bytes(pickle, {counted(16)});
  c.whole(
      "AStorageThatIsAnArchive",
      checkpoint_bytes(
          dict_of(
              {{"w", {.type = "ByteStorage", .elements = static_cast<int64_t>(inner.size()), .shape = {2}}}}),
          {inner}),
      {"w U8 [2] 504b"});
}

}  // namespace

std::vector<BenignCheckpoint> benign_checkpoints() {
  Corpus corpus;
  add_tensors(corpus);
  add_pickles(corpus);
  add_archives(corpus);
  return corpus.take();
}

}  // namespace brume::testing_corpus
