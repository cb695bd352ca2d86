#include <functional>
#include <utility>

#include "checkpoint_corpus.h"
#include "pickle_assembler.h"
#include "zip_assembler.h"

namespace brume::testing_corpus {

namespace {

using namespace std::string_literals;

constexpr size_t kPickle = 0;  // the items of good()
constexpr size_t kByteOrder = 1;
constexpr size_t kStorage = 2;
constexpr size_t kVersion = 3;

std::vector<ZipItem> good() { return checkpoint_items(dict_of({{"weight", {}}}), {std::string(16, '\1')}); }

class Corpus {
 public:
  void raw(const std::string& name, const std::string& message, const std::string& bytes) {
    cases_.push_back({name, message, [bytes] { return bytes; }});
  }
  void lazy(const std::string& name, const std::string& message, std::function<std::string()> bytes) {
    cases_.push_back({name, message, std::move(bytes)});
  }
  /// A good checkpoint after `change` has been at its items.
  template <class Change>
  void items(const std::string& name, const std::string& message, Change change, const ZipEnd& end = {}) {
    std::vector<ZipItem> all = good();
    change(all);
    raw(name, message, zip_bytes(all, end));
  }
  void end(const std::string& name, const std::string& message, const ZipEnd& end) {
    raw(name, message, zip_bytes(good(), end));
  }
  std::vector<HostileCheckpoint> take() { return std::move(cases_); }

 private:
  std::vector<HostileCheckpoint> cases_;
};

void add_names(Corpus& c) {
  using Items = std::vector<ZipItem>;
  auto renamed = [&](const std::string& test, const std::string& message, size_t item,
                     const std::string& name) {
    c.items(test, message, [&](Items& all) { all[item].name = name; });
  };
  const std::string other = "\" is not what torch.save writes";
  renamed("RenamedPickle", "the entry \"archive/payload.pkl" + other, kPickle, "archive/payload.pkl");
  renamed("PickleWithALongerName", "the entry \"archive/data.pkl.bak" + other, kPickle,
          "archive/data.pkl.bak");
  renamed("PickleWithACapital", "the entry \"archive/Data.pkl" + other, kPickle, "archive/Data.pkl");
  renamed("PickleInAFolderBelow", "the entry \"archive/x/data.pkl" + other, kPickle, "archive/x/data.pkl");
  renamed("PickleWithoutAFolder", "the entry \"data.pkl" + other, kPickle, "data.pkl");
  renamed("AbsoluteName", "the entry \"/data.pkl" + other, kPickle, "/data.pkl");
  renamed("NameOutOfTheFolder", "the entry \"../../data.pkl" + other, kPickle, "../../data.pkl");
  renamed("NameWithANul", "the entry \"archive/data.pkl\\x00.txt" + other, kPickle,
          "archive/data.pkl\0.txt"s);
  renamed("StorageWithAPath", "the entry \"archive/data/../0" + other, kStorage, "archive/data/../0");
  renamed("StorageWithoutANumber", "the entry \"archive/data/" + other, kStorage, "archive/data/");
  renamed("StorageNamedByALetter", "the entry \"archive/data/0a" + other, kStorage, "archive/data/0a");
  renamed("TorchScript", "the entry \"archive/constants.pkl" + other, kVersion, "archive/constants.pkl");
  renamed("NestedZip", "the entry \"archive/inner.zip" + other, kVersion, "archive/inner.zip");
  renamed("ALongName", "is not what torch.save writes", kVersion, "archive/" + std::string(60'000, 'a'));
  renamed("TwoFolders", "has entries in two folders, \"archive\" and \"evil\"", kVersion, "evil/version");
  renamed("TwoStoragesOfOneName", "two entries are named \"archive/data.pkl\"", kVersion, "archive/data.pkl");
  c.items("NoPickle", "is a zip archive without data.pkl", [](Items& all) { all.erase(all.begin()); });
  c.items("BigEndian", "the byte order of its numbers is not \"little\"",
          [](Items& all) { all[kByteOrder].data = "big"; });
  c.items("LongByteOrder", "the byte order of its numbers is not \"little\"",
          [](Items& all) { all[kByteOrder].data = std::string(100'000, 'l'); });
}

void add_entries(Corpus& c) {
  using Items = std::vector<ZipItem>;
  c.items("DeflatedPickle", "the entry \"archive/data.pkl\" is compressed",
          [](Items& all) { all[kPickle].method = 8; });
  c.items("DeflatedStorage", "the entry \"archive/data/0\" is compressed",
          [](Items& all) { all[kStorage].method = 8; });
  c.items("DeflatedInTheLocalHeaderAlone", "\"archive/data.pkl\" has a header of its own that disagrees",
          [](Items& all) { all[kPickle].local_method = 8; });
  c.items("Encrypted", "the entry \"archive/data.pkl\" is encrypted",
          [](Items& all) { all[kPickle].flags = 1; });
  c.items("StorageMarkedAsADirectory", "the entry \"archive/data/0\" is marked as a directory",
          [](Items& all) { all[kStorage].attributes = 0x10; });
  c.items("UnknownFlags", "uses a zip feature that no checkpoint needs",
          [](Items& all) { all[kPickle].flags = 0x40; });
  c.items("WrongChecksum", "data.pkl does not have the checksum that the archive states",
          [](Items& all) { all[kPickle].crc = 0x12345678; });
  c.items("WrongChecksumBehindFlags", "data.pkl does not have the checksum", [](Items& all) {
    all[kPickle].flags = 8;
    all[kPickle].crc = 0x12345678;
  });
  c.items("OtherNameInTheLocalHeader", "\"archive/data.pkl\" has a header of its own that disagrees",
          [](Items& all) { all[kPickle].local_name = "archive/evil.pkl"; });
  c.items("LongerNameInTheLocalHeader", "has a header of its own that disagrees",
          [](Items& all) { all[kPickle].local_name = "archive/data.pklx"; });
  c.items("OtherSizeInTheLocalHeader", "\"archive/data/0\" has a size or checksum of its own that disagrees",
          [](Items& all) { all[kStorage].local_size = 12; });
  c.items("NoSizeInTheLocalHeader", "\"archive/data/0\" has a size or checksum of its own that disagrees",
          [](Items& all) { all[kStorage].local_size = 0; });
  c.items("OtherFlagsInTheLocalHeader", "has a header of its own that disagrees",
          [](Items& all) { all[kStorage].local_flags = 8; });
  c.items("LocalSizeIn64BitsThatAreMissing", "has a size or checksum of its own that disagrees",
          [](Items& all) { all[kStorage].local_size = 0xFFFFFFFF; });
  c.items("SameBytesTwice", "the entry \"archive/version\" overlaps \"archive/data/0\"", [](Items& all) {
    // An entry of its own inside of the storage's bytes: its header is right, its place is not.
    const std::string inner = zip_bytes({all[kVersion]});
    all[kStorage].data = inner;
    const std::string start = zip_bytes({all[0], all[1], all[2]});
    all[kVersion].offset = start.find(inner);
  });
  c.items("EntryBeyondTheArchive", "\"archive/version\" begins outside of the archive",
          [](Items& all) { all[kVersion].offset = 1'000'000; });
  c.items("EntryInTheDirectory", "outside of the archive",
          [](Items& all) { all[kVersion].offset = zip_bytes(all).size() - 100; });
  c.items("SizeBeyondTheArchive", "\"archive/version\" ends outside of the archive",
          [](Items& all) { all[kVersion].size = 0xFFFFFF; });
  c.items("SizeThatWraps", "\"archive/version\" ends outside of the archive", [](Items& all) {
    all[kVersion].zip64 = true;
    all[kVersion].size = UINT64_MAX - 3;
  });
  c.items("PlaceThatWraps", "\"archive/version\" begins outside of the archive", [](Items& all) {
    all[kVersion].zip64 = true;
    all[kVersion].offset = UINT64_MAX - 3;
  });
  c.items("SizeIn64BitsThatAreMissing", "the zip directory is cut short",
          [](Items& all) { all[kVersion].size = 0xFFFFFFFF; });
  c.lazy("PickleAboveItsLimit", "data.pkl has 67108865 bytes, more than the limit of 67108864",
         [] { return checkpoint_bytes(std::string((64U << 20) + 1, '.')); });
}

void add_ends(Corpus& c) {
  const std::string whole = zip_bytes(good());
  const std::string no_end = "does not end with a zip archive's end record";
  c.raw("Truncated", no_end, whole.substr(0, whole.size() - 1));
  c.raw("TruncatedInAStorage", no_end, whole.substr(0, whole.size() / 3));
  c.raw("OneByteAppended", no_end, whole + "\0"s);
  c.raw("APayloadAppended", no_end, whole + "cposix\nsystem\n");
  c.raw("AnotherArchiveAppended", "the zip directory does not lie at the end of the archive", whole + whole);
  c.end("AComment", no_end, {.comment = "hello"});
  c.raw("OnlyAStart", "has 4 bytes, too few for a zip archive", "PK\x03\x04");
  c.raw("EmptyArchive", "is not a checkpoint that torch.save wrote", zip_bytes({}));
  const std::string header = "PK\x03\x04" + std::string(26, '\0');
  c.raw("NoEntries", "is an empty zip archive", header + zip_bytes({}, {.directory_begin = 30}));
  c.end("FewerEntriesThanTheDirectory", "the zip directory is longer than its entries", {.entries = 3});
  c.end("MoreEntriesThanTheDirectory", "the zip directory is cut short", {.entries = 5});
  c.end("DirectoryElsewhere", "the zip directory does not lie at the end", {.directory_begin = 0});
  c.end("DirectorySizeThatWraps", "the zip directory does not lie at the end",
        {.zip64 = true, .directory_bytes = 0xFFFFFFFF});
  c.end("64BitRecordMissing", "the zip archive's 64-bit end record is missing",
        {.directory_begin = 0xFFFFFFFF});
  c.end("TwoEndRecordsThatDisagree", "the zip archive's two end records disagree",
        {.zip64 = true, .entries64 = 3});
  c.end("EntryFlood", "more than the limit of 100000",
        {.zip64 = true, .entries = 0xFFFF, .entries64 = 1'000'000'000});
  std::string broken = zip_bytes(good(), {.zip64 = true});
  broken[broken.find("PK\x06\x06") + 4] = 45;
  c.raw("64BitRecordOfAnotherSize", "the zip archive's 64-bit end record is broken", broken);
  const std::string before = "PK\x03\x04" + std::string(60, 'x');
  std::vector<ZipItem> moved = good();
  uint64_t place = before.size();
  for (ZipItem& item : moved) {
    item.offset = place;
    place += 30 + item.name.size() + item.data.size();
  }
  c.raw("BytesBeforeTheFirstEntry", "the zip archive does not begin at the start of the file",
        before + zip_bytes(moved, {.directory_begin = place}));
}

void add_formats(Corpus& c) {
  c.raw("BarePickle", "is a bare pickle, as torch wrote them before 1.6; save it again in torch 1.6",
        "\x80\x02\x8a\x0al\xfc\x9c"
        "F\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.");
  c.raw("BarePickleOfProtocol4", "is a bare pickle",
        "\x80\x04\x95\x1e\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93"s);
  std::string tar(1024, '\0');
  tar.replace(0, 6, "pickle").replace(257, 5, "ustar");
  c.raw("Tar", "is a tar archive, as torch 0.1 wrote them; save it again in torch 1.6", tar);
  c.raw("EmptyFile", "is not a checkpoint that torch.save wrote", "");
  c.raw("Text", "is not a checkpoint that torch.save wrote", "hello, world");
  c.raw("PickleOfProtocol0", "is not a checkpoint that torch.save wrote", "cposix\nsystem\n(S'id'\ntR.");
}

}  // namespace

std::vector<HostileCheckpoint> hostile_archives() {
  Corpus corpus;
  add_names(corpus);
  add_entries(corpus);
  add_ends(corpus);
  add_formats(corpus);
  return corpus.take();
}

}  // namespace brume::testing_corpus
