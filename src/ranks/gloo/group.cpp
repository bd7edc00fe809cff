#include "ranks/group.h"

#include <fmt/format.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <numeric>
#include <thread>

#include "karat/error.h"
#include "ranks/gloo/address.h"
#include "ranks/gloo/watch.h"

namespace karat {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::hours kForever{24 * 7};  // who is lost is told by RankWatch

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(1000 * seconds));
}

std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

/// Two connections to the store of rank 0, since a call holds its connection until it is answered:
/// one for whoever connects the ranks, one for the watch.
struct GlooConnections {
  c10::intrusive_ptr<c10d::TCPStore> store, watched;
  std::unique_ptr<c10d::ProcessGroupGloo> gloo;

  c10::intrusive_ptr<c10d::TCPStore> connect(const RanksOptions& options, bool serves) {
    c10d::TCPStoreOptions to;
    to.port = static_cast<std::uint16_t>(options.port);
    to.isServer = serves;
    to.waitWorkers = false;
    to.timeout = milliseconds(options.join_seconds);
    return c10::make_intrusive<c10d::TCPStore>(options.host, to);
  }
  explicit GlooConnections(const RanksOptions& options) {
    store = connect(options, options.rank == 0);
    watched = connect(options, false);
    const auto settings = c10d::ProcessGroupGloo::Options::create();
    settings->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(
        address_towards(options.host, options.port)));
    settings->timeout = kForever;
    gloo = std::make_unique<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("gloo", store), options.rank, options.size,
        settings);
  }
};

class GlooGroup : public RankGroup {
 public:
  explicit GlooGroup(const RanksOptions& options);
  ~GlooGroup() override;
  GlooGroup(const GlooGroup&) = delete;
  GlooGroup& operator=(const GlooGroup&) = delete;
  std::vector<torch::Tensor> exchange(const std::vector<torch::Tensor>& to) override;
  void leave(const std::string& why) override;
  RanksTraffic traffic() const override { return traffic_; }

 private:
  torch::Tensor give(const torch::Tensor& bytes, std::vector<std::int64_t> to,
                     std::vector<std::int64_t> from);
  RanksOptions options_;
  std::unique_ptr<GlooConnections> connections_;
  std::unique_ptr<RankWatch> watch_;
  RanksTraffic traffic_;
  bool left_ = false;
};

GlooGroup::GlooGroup(const RanksOptions& options) : options_(options) {
  const auto refuse = [&](const std::string& why) {
    fail("ranks", fmt::format("rank {} without connection to all others: {}", options.rank, why),
         fmt::format("{} ranks at {}:{} within {:.0f} s", options.size, options.host, options.port,
                     options.join_seconds),
         "start all of them; MASTER_ADDR and MASTER_PORT say where rank 0 is");
  };
  if (options.rank > 0 && !answers(options.host, options.port, options.join_seconds))
    refuse("rank 0 does not answer");
  try {
    connections_ = std::make_unique<GlooConnections>(options);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    refuse(first_line(error));
  }
  watch_ = std::make_unique<RankWatch>(connections_->watched, options);
}

/// A call that waits for somebody who is lost never ends, and its thread with it: then the
/// connections stay until the process ends.
GlooGroup::~GlooGroup() {
  const bool lost = watch_->lost();
  if (!left_) watch_->leave(lost ? "another rank is lost" : "");
  watch_.reset();
  if (lost) static_cast<void>(connections_.release());
}

void GlooGroup::leave(const std::string& why) {
  if (!std::exchange(left_, true)) watch_->leave(why);
}

torch::Tensor GlooGroup::give(const torch::Tensor& bytes, std::vector<std::int64_t> to,
                              std::vector<std::int64_t> from) {
  const auto start = Clock::now();
  const std::int64_t mine = to[static_cast<std::size_t>(options_.rank)];  // Gloo takes `to` with it
  torch::Tensor input = bytes;
  torch::Tensor output =
      torch::empty({std::accumulate(from.begin(), from.end(), std::int64_t{0})}, torch::kUInt8);
  try {
    const auto work = connections_->gloo->alltoall_base(output, input, from, to);
    for (std::chrono::microseconds pause(10); !work->isCompleted();
         pause = std::min(2 * pause, std::chrono::microseconds(2000))) {
      watch_->check();
      std::this_thread::sleep_for(pause);
    }
    work->wait();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    watch_->explain(first_line(error));
  }
  const std::chrono::duration<double> waited = Clock::now() - start;
  traffic_.seconds += waited.count();
  traffic_.bytes += bytes.numel() - mine;
  return output;
}

std::vector<torch::Tensor> GlooGroup::exchange(const std::vector<torch::Tensor>& to) {
  watch_->check();
  std::vector<std::int64_t> gives, takes;
  for (const torch::Tensor& one : to) gives.push_back(one.numel());
  const torch::Tensor lengths =
      give(bytes_of(torch::tensor(gives)), std::vector<std::int64_t>(to.size(), 8),
           std::vector<std::int64_t>(to.size(), 8))
          .view(torch::kInt64);
  for (std::size_t i = 0; i < to.size(); ++i)
    takes.push_back(lengths[static_cast<std::int64_t>(i)].item<std::int64_t>());
  const torch::Tensor all = give(torch::cat(to), gives, takes);
  std::vector<torch::Tensor> from;
  std::int64_t offset = 0;
  for (const std::int64_t length : takes) {
    from.push_back(all.narrow(0, offset, length));
    offset += length;
  }
  return from;
}

}  // namespace

std::unique_ptr<RankGroup> join_ranks(const RanksOptions& options) {
  return std::make_unique<GlooGroup>(options);
}

}  // namespace karat
