#include <utility>

#include "checkpoint_corpus.h"
#include "pickle_assembler.h"
#include "times.h"
#include "zip_assembler.h"

namespace brume::testing_corpus {

namespace {

using namespace std::string_literals;

class Corpus {
 public:
  /// A whole pickle.
  void whole(const std::string& name, const std::string& message, const std::string& pickle) {
    cases_.push_back({name, message, [pickle] { return checkpoint_bytes(pickle); }});
  }
  /// A pickle that goes on with `tail` after PROTO; the message names the byte where `tail` begins, plus
  /// `later`.
  void after_proto(const std::string& name, const std::string& problem, const std::string& tail,
                   size_t later = 0) {
    const Pickle pickle;
    at(name, problem, pickle.at() + later, pickle.stopped().substr(0, pickle.at()) + tail);
  }
  void at(const std::string& name, const std::string& problem, size_t byte, const std::string& pickle) {
    whole(name, "data.pkl, byte " + std::to_string(byte) + ": " + problem, pickle);
  }
  /// A state dict that is fine, in which a value is `payload`; the fault is `later` bytes into it.
  void inside(const std::string& name, const std::string& problem, const std::string& payload,
              size_t later = 0) {
    Pickle pickle;
    pickle.raw("}(").text("weight").tensor({}).text("x");
    const size_t byte = pickle.at() + later;
    at(name, problem, byte, pickle.raw(payload).raw("u").stopped());
  }
  std::vector<HostileCheckpoint> take() { return std::move(cases_); }

 private:
  std::vector<HostileCheckpoint> cases_;
};

std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}

/// Names that would run something elsewhere.
void add_globals(Corpus& c) {
  auto named = [&](const std::string& test, const std::string& module, const std::string& name) {
    c.inside(test, "the global " + module + "." + name + " is not allowed",
             global(module, name) + "X\x02\0\0\0id\x85R"s);
  };
  named("ReduceOsSystem", "os", "system");
  named("ReducePosixSystem", "posix", "system");
  named("ReduceNtSystem", "nt", "system");
  named("ReduceEval", "__builtin__", "eval");
  named("ReduceExecOfPython3", "builtins", "exec");
  named("ReduceGetattr", "__builtin__", "getattr");
  named("ReduceImport", "builtins", "__import__");
  named("ReduceSubprocess", "subprocess", "Popen");
  named("ReduceRunpy", "runpy", "_run_code");
  named("ReducePipMain", "pip", "main");
  named("ReduceTorchLoad", "torch", "load");
  named("ReduceTorchHub", "torch.hub", "load");
  named("ReduceWebbrowser", "webbrowser", "open");
  named("ReduceTensorOfAnotherKind", "torch._utils", "_rebuild_wrapper_subclass");
  named("ReduceSubmodule", "torch._utils.os", "system");
  named("ReduceAttributeOfAnAllowedName", "collections", "OrderedDict.fromkeys");
  named("ReduceAllowedNameInAnotherModule", "os", "OrderedDict");
  named("ReduceNumpyExec", "numpy.testing._private.utils", "runstring");
  named("ReduceCodecsDecode", "_codecs", "decode");
  c.inside("GlobalWithAnEscapeSequence", "the global os.\\x1b[2Jsystem is not allowed",
           global("os", "\x1b[2Jsystem"));
  c.after_proto("OnlyAPayload", "the global posix.system is not allowed",
                global("posix", "system") + "X\x02\0\0\0id\x85R."s);
  Pickle after;
  after.raw("}(").text("weight").tensor({}).raw("u");
  const size_t end = after.at();
  after.raw("0").global("posix", "system").text("id").raw("\x85R");
  c.at("PayloadAfterTheStateDict", "the opcode POP is not allowed", end, after.stopped());
  c.inside("GlobalWithoutAnEnd", "the pickle ends early", "cos");
  c.inside("GlobalTooLong", "a global name is longer than the limit of 256 bytes",
           global(times("a", 257), "b"));
}

/// Opcodes that no checkpoint needs.
void add_opcodes(Corpus& c) {
  auto refused = [&](const std::string& opcode, const std::string& bytes, size_t later = 0) {
    c.inside("Opcode_" + opcode, "the opcode " + opcode + " is not allowed", bytes, later);
  };
  const std::string two_texts = "X\x05\0\0\0posixX\x06\0\0\0system"s;
  refused("STACK_GLOBAL", two_texts + "\x93", two_texts.size());
  refused("INST", "(X\x02\0\0\0idiposix\nsystem\n"s, 8);
  const std::string callee = "(" + global("collections", "OrderedDict");
  refused("OBJ", callee + "o", callee.size());
  refused("EXT1", "\x82\x01"s);
  refused("EXT2", "\x83\x01\x01"s);
  refused("EXT4", "\x84\x01\x01\x01\x01"s);
  refused("PERSID", "Pstorage\n");
  refused("FRAME", "\x95\x01\0\0\0\0\0\0\0N"s);
  refused("MEMOIZE", "N\x94"s, 1);
  refused("NEWOBJ_EX", "\x92"s);
  refused("DUP", "N2", 1);
  refused("POP_MARK", "1");
  refused("LONG4", "\x8b\x01\0\0\0\1"s);
  refused("INT", "I1\n");
  refused("STRING", "S'a'\n");
  refused("UNICODE", "Va\n");
  refused("BINSTRING", "T\x01\0\0\0a"s);
  refused("GET", "g0\n");
  refused("PUT", "p0\n");
  refused("DICT", "(d", 1);
  refused("BINBYTES", "B\x01\0\0\0a"s);
  refused("BYTEARRAY8", "\x96\x01\0\0\0\0\0\0\0a"s);
  refused("NEXT_BUFFER", "\x97"s);
  c.inside("Opcode_Unknown", "the opcode 0xff is not allowed", "\xff");
  c.at("Protocol4", "pickle protocol 4 is not read", 0, "\x80\x04N.");
  c.at("Protocol0", "the pickle does not begin with PROTO", 0, "cposix\nsystem\n(S'id'\ntR.");
  c.inside("ASecondProto", "a second PROTO", "\x80\x02");
}

/// Allowed opcodes where they cannot be.
void add_misuse(Corpus& c) {
  auto build = [](const std::string& object) { return object + "}X\x05\0\0\0__x__Nsb"s; };
  c.inside("BuildOnADict", "BUILD sets the state of what has none", build("}"), 14);
  Pickle tensor;
  tensor.tensor({});
  const std::string made = tensor.stopped().substr(2, tensor.at() - 2);
  c.inside("BuildOnATensor", "BUILD sets the state of what has none", build(made), made.size() + 13);
  c.inside("BuildOnAGlobal", "BUILD sets the state of what has none",
           build(global("collections", "OrderedDict")), 38);
  c.inside("BuildAnOrderedDictFromAText", "BUILD sets the state of what has none",
           global("collections", "OrderedDict") + ")RX\x01\0\0\0xb"s, 33);
  c.inside("ReduceOfAText", "what is called is not a global", "X\x02\0\0\0id)R"s, 8);
  c.inside("ReduceOfAStorageType", "torch.FloatStorage cannot be called",
           global("torch", "FloatStorage") + ")R", 21);
  c.inside("ReduceWithAList", "what collections.OrderedDict is called with is not a tuple",
           global("collections", "OrderedDict") + "]R", 26);
  c.inside("NewobjOfAText", "the class of a new object is not a global", "X\x02\0\0\0id)\x81"s, 8);
  c.inside("NewobjOfAFunction", "torch._utils._rebuild_tensor_v2 is not the class of an object",
           global("torch._utils", "_rebuild_tensor_v2") + ")\x81", 34);
  c.inside("AppendToADict", "a value is appended to what is not a list", "}Na", 2);
  c.inside("AppendToATuple", "a value is appended to what is not a list", ")Na", 2);
  c.inside("AppendsToADict", "a value is appended to what is not a list", "}(NNe", 4);
  c.inside("SetitemInAList", "an item is set in what is not a dict", "]NNs", 3);
  c.inside("SetitemsInAnInertObject", "an item is set in what is not a dict",
           global("__builtin__", "set") + ")R(NNu", 22);
  c.inside("AKeyWithoutAValue", "a key has no value", "}(Nu", 3);
  c.inside("AKeyThatIsAList", "a key is a list or a dict", "}]Ns", 3);
  c.after_proto("StackUnderflow", "there are too few values on the stack", "Na.", 1);
  c.after_proto("ReduceOfNothing", "there are too few values on the stack", "R.");
  c.after_proto("NoMark", "there is no mark on the stack", "Nt.", 1);
  c.inside("ValuesBelowAMark", "there are too few values on the stack", "N(\x85", 2);
  c.inside("NoListBelowAMark", "there are too few values on the stack", "(((Ne", 4);
  c.inside("NoMemoEntry", "the memo has no entry 7", "h\x07");
  c.inside("MemoOfNothing", "there are too few values on the stack", "(q\x01", 1);
  c.inside("PersistentIdOfAText", "a persistent id is not a tuple", "X\x03\0\0\0/etQ"s, 8);
  c.inside("PersistentIdOfAModule", "a persistent id is not (\"storage\", type, key, device, elements)",
           "(X\x06\0\0\0moduleX\x01\0\0\0aX\x01\0\0\0bX\x01\0\0\0cK\x01tQ"s, 33);
  Pickle wrong;
  wrong.raw("}")
      .text("a")
      .raw("(")
      .text("storage")
      .global("collections", "OrderedDict")
      .text("0")
      .text("cpu");
  wrong.integer(4).raw("t");
  const size_t persid = wrong.at();
  c.at("StorageOfAnotherType", "collections.OrderedDict is not the type of a storage", persid,
       wrong.raw("Qs").stopped());
  c.after_proto("TwoValuesAtTheEnd", "STOP leaves 2 values and 0 marks, not one value", "}}.", 2);
  c.after_proto("NothingAtTheEnd", "STOP leaves 0 values and 0 marks, not one value", ".");
  c.after_proto("AMarkAtTheEnd", "STOP leaves 1 values and 1 marks, not one value", "}(.", 2);
  c.after_proto("BytesAfterStop", "7 bytes follow STOP", "}.cposix\n", 1);
  c.after_proto("NoStop", "the pickle ends early", "}", 1);
  c.whole("Empty", "data.pkl, byte 0: the pickle ends early", "");
}

/// What would take memory, time or the stack.
void add_bombs(Corpus& c) {
  c.after_proto("DepthOf65", "values are nested deeper than the limit of 64",
                times("]", 65) + times("a", 64) + ".", 65 + 63);
  c.after_proto("DepthOf100000", "values are nested deeper than the limit of 64",
                times("]", 100'000) + times("a", 99'999) + ".", 100'000 + 63);
  c.after_proto("DepthByTuples", "values are nested deeper than the limit of 64",
                "N" + times("\x85", 100'000) + ".", 65);
  const std::string scalar = global("numpy.core.multiarray", "scalar");
  c.after_proto("DepthByInertObjects", "values are nested deeper than the limit of 64",
                times(scalar, 100) + ")" + times("\x85R", 100) + ".", scalar.size() * 100 + 1 + 63);
  // Put together from the outside, so that no container is deep when it goes into another.
  // Each dict is filled after it was put into the one around it, so that none is deep when it is put there.
  Pickle deep;
  deep.raw("}").text("a").raw("}").put(0).raw("s").text("rest").raw("(");
  for (uint8_t i = 0; i < 80; ++i) deep.get(i).text("a").raw("}").put(i + 1).raw("s");
  c.whole("DepthFromTheOutside", "data.pkl: values are nested deeper than the limit of 64",
          deep.raw("ts").stopped());
  c.after_proto("MarkFlood", "there are more marks than the limit of 64", times("(", 1000) + ".", 64);
  c.after_proto("LongOf255Bytes", "LONG1 has 255 bytes, more than the limit of 16",
                "\x8a\xff" + times("\x7f", 255) + ".");
  c.after_proto("LongOf17Bytes", "LONG1 has 17 bytes, more than the limit of 16",
                "\x8a\x11" + times("\1", 17) + ".");
  c.after_proto("TextOf4Gigabytes", "the pickle ends early",
                "X\xff\xff\xff\xff"
                "abc.");
  c.after_proto("MemoIndexOf4Billion", "the memo index 4294967295 is more than the limit of 1000000",
                "}r\xff\xff\xff\xff.", 1);
  c.after_proto("OpcodeFlood", "there are more opcodes than the limit of 1000000",
                "(" + times("N", 1'000'000) + "t.", 999'999);
  Pickle copies;
  copies.raw("](").raw(times("](NNe", 1000)).raw("e").put(1).raw("(");
  for (int i = 0; i < 2000; ++i) copies.global("collections", "OrderedDict").get(1).raw("\x85R");
  c.whole("OrderedDictsOfOneList", "there are more opcodes than the limit of 1000000",
          copies.raw("t\x86").stopped());
}

}  // namespace

std::vector<HostileCheckpoint> hostile_pickles() {
  Corpus corpus;
  add_globals(corpus);
  add_opcodes(corpus);
  add_misuse(corpus);
  add_bombs(corpus);
  return corpus.take();
}

}  // namespace brume::testing_corpus
