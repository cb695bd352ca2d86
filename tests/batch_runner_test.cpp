#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "brume/base/error.h"
#include "brume/batch/runner.h"
#include "reference_case.h"

// Pictures through the phases of a batch: the same as alone, whatever their mix; and every way a run ends.
namespace brume::batch {
namespace {

using brume::testing::reference_path;

/// Many pictures of three sizes, with their own words, seeds, steps, samplers and guidance.
std::vector<Request> mixed_requests(int count) {
  std::vector<Request> requests;
  for (int i = 0; i < count; ++i) {
    Request request;
    request.prompt = i % 3 == 0 ? "a red fox" : "a house by the sea";
    if (i % 4 == 1) request.negative_prompt = "rain";
    if (i % 6 == 5) request.prompt += ", (with:1.2) light and water and a cat in it AND a [fox|hen] :0.6";
    request.width = i % 5 == 4 ? 56 : 72;
    request.height = i % 7 == 3 ? 56 : 72;
    request.seeds = {static_cast<uint64_t>(100 + i)};
    request.sampling = {i % 2 == 0 ? Sampler::kDdim : Sampler::kDdpm, 1 + i % 4, 0};
    request.guidance = {i % 3 == 2 ? 1.0 : 4.0 + i, 0};
    requests.push_back(request);
  }
  return requests;
}

Runner::Source source_of(const std::vector<Request>& requests) {
  return [&requests, next = size_t{0}]() mutable -> std::optional<Work> {
    if (next == requests.size()) return {};
    const size_t ticket = next++;
    return Work{ticket, requests[ticket]};
  };
}

bool never() { return false; }

class Batches : public ::testing::TestWithParam<std::tuple<RowCalls, Phases>> {
 protected:
  /// Why each picture failed, by ticket; empty for those that did not.
  std::map<uint64_t, std::string> failures_of(const std::vector<Request>& requests) const {
    std::map<uint64_t, std::string> failures;
    Runner runner(
        pipeline_, settings_, source_of(requests),
        [&](const Made& one) { failures[one.ticket] = one.failure; }, never);
    runner.run();
    return failures;
  }

  Pipeline pipeline_{ModelConfig(reference_path("sd1")), at::kFloat};
  RunnerSettings settings_{
      .most_rows = 3, .calls = std::get<RowCalls>(GetParam()), .phases = std::get<Phases>(GetParam())};
};

TEST_P(Batches, GiveEveryPictureOnceAsItIsAlone) {
  const std::vector<Request> requests = mixed_requests(25);
  std::map<uint64_t, Made> made;
  Runner runner(
      pipeline_, settings_, source_of(requests),
      [&](Made one) { EXPECT_TRUE(made.emplace(one.ticket, std::move(one)).second); }, never);
  runner.run();
  ASSERT_EQ(made.size(), requests.size());
  Observer unseen;
  int64_t steps = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    steps += requests[i].sampling.steps;
    EXPECT_EQ(made.at(i).failure, "");
    const Generation alone = pipeline_.generate(requests[i], unseen);
    const std::vector<uint8_t>& pixels = made.at(i).result.picture->pixels;
    const std::vector<uint8_t>& wanted = alone.pictures[0].picture->pixels;
    ASSERT_EQ(pixels.size(), wanted.size());
    if (settings_.calls == RowCalls::kApart) {
      EXPECT_EQ(pixels, wanted) << "picture " << i;
    }
    size_t off = 0;
    for (size_t k = 0; k < pixels.size(); ++k) {
      EXPECT_LE(std::abs(pixels[k] - wanted[k]), 1) << "picture " << i;
      off += pixels[k] != wanted[k] ? 1 : 0;
    }
    EXPECT_LE(off, pixels.size() / 1000) << "picture " << i;
  }
  EXPECT_EQ(runner.steps_done(), steps);
  EXPECT_GT(runner.busy().denoise, 0);
}

TEST_P(Batches, ASinkThatFailsEndsTheRun) {
  const std::vector<Request> requests = mixed_requests(40);
  int taken = 0;
  Runner runner(
      pipeline_, settings_, source_of(requests),
      [&](const Made&) {
        if (++taken == 5) throw Error(ExitCode::kOutputFailed, "there", "no space");
      },
      never);
  EXPECT_THROW(runner.run(), Error);
  EXPECT_EQ(taken, 5);
}

TEST_P(Batches, ASourceThatFailsEndsTheRun) {
  const std::vector<Request> requests = mixed_requests(40);
  Runner::Source good = source_of(requests);
  int given = 0;
  Runner runner(
      pipeline_, settings_,
      [&]() -> std::optional<Work> {
        if (++given == 7) throw std::runtime_error("broken pipe");
        return good();
      },
      [](const Made&) {}, never);
  EXPECT_THROW(runner.run(), std::runtime_error);
}

TEST_P(Batches, ASourceThatWaitsHearsOfTheEnd) {
  const std::vector<Request> requests = mixed_requests(3);
  for (const bool stop : {false, true}) {
    const Runner* running = nullptr;
    Runner::Source few = source_of(requests);
    const auto waits = [&]() -> std::optional<Work> {
      std::optional<Work> work = few();
      for (int i = 0; !work && !running->ending(); ++i) {
        if (i > 60'000) throw std::logic_error("nobody tells the source");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      return work;
    };
    const auto sink = [](const Made&) { throw Error(ExitCode::kOutputFailed, "there", "no space"); };
    Runner runner(pipeline_, settings_, waits, sink, [&] { return stop; });
    running = &runner;
    EXPECT_FALSE(runner.ending());
    if (stop) {
      EXPECT_FALSE(runner.run());
    } else {
      EXPECT_THROW(runner.run(), Error);
    }
    EXPECT_TRUE(runner.ending());
  }
}

TEST_P(Batches, APictureThatDoesNotFitTheModelFailsAlone) {
  std::vector<Request> requests = mixed_requests(6);
  requests[2].clip_skip = 50;
  const std::map<uint64_t, std::string> failures = failures_of(requests);
  ASSERT_EQ(failures.size(), requests.size());
  for (const auto& [ticket, failure] : failures) EXPECT_EQ(failure.empty(), ticket != 2) << failure;
}

TEST_P(Batches, APromptThatIsRefusedFailsAlone) {
  std::vector<Request> requests = mixed_requests(6);
  requests[1].prompt = std::string(300, '(');
  requests[4].prompt = "a (fox";
  requests[4].reading.unread = Unread::kRefuse;
  const std::map<uint64_t, std::string> failures = failures_of(requests);
  ASSERT_EQ(failures.size(), requests.size());
  for (const auto& [ticket, failure] : failures)
    EXPECT_EQ(failure.empty(), ticket != 1 && ticket != 4) << failure;
}

TEST_P(Batches, AStopGivesUpWhatTakesLongerThanTheGrace) {
  std::vector<Request> requests(1000, mixed_requests(1)[0]);
  for (Request& request : requests) request.sampling.steps = 50;
  std::atomic<bool> stop = false;
  std::atomic<int> taken = 0;
  Runner runner(
      pipeline_, settings_, source_of(requests),
      [&](const Made&) {
        ++taken;
        stop = true;
      },
      [&] { return stop.load(); });
  runner.run();
  EXPECT_GE(taken, 1);
  EXPECT_LE(taken, 12);
}

TEST_P(Batches, AStopWithGraceEndsThePicturesOnTheirWay) {
  std::vector<Request> requests(1000, mixed_requests(1)[0]);
  for (size_t i = 0; i < requests.size(); ++i) requests[i].sampling.steps = i == 0 ? 2 : 30;
  std::atomic<bool> stop = false;
  std::atomic<int> taken = 0;
  settings_.grace = std::chrono::seconds(60);
  Runner runner(
      pipeline_, settings_, source_of(requests),
      [&](const Made& made) {
        ++taken;
        stop = stop || made.ticket == 0;
      },
      [&] { return stop.load(); });
  runner.run();
  // The first, and those that were on their way with it or had just taken its place.
  EXPECT_GE(taken, 3);
  EXPECT_LE(taken, 12);
}

INSTANTIATE_TEST_SUITE_P(Runners, Batches,
                         ::testing::Combine(::testing::Values(RowCalls::kTogether, RowCalls::kApart),
                                            ::testing::Values(Phases::kBeside, Phases::kInTurn)));

}  // namespace
}  // namespace brume::batch
