// The server's paths, over cpp-httplib; the only file that includes it.
#include <httplib.h>
#include <openssl/crypto.h>

#include <thread>

#include "karat/error.h"
#include "karat/serve.h"
#include "serve/answer.h"
#include "serve/api_error.h"

namespace karat {
namespace {

using namespace std::chrono_literals;
constexpr auto kJson = "application/json";
constexpr auto kLook = 200ms;      // how often a reader is asked whether it is still there
constexpr int kReadSeconds = 10;   // that a request's next bytes may take
constexpr int kWriteSeconds = 30;  // that a reader may take none

void refuse(httplib::Response& response, int status, const std::string& message,
            const std::string& param = {}) {
  response.status = status;
  if (status == 429 || status == 503) response.set_header("Retry-After", "1");
  response.set_content(error_answer(status, message, param), kJson);
}

/// One request on its way out. httplib asks it for more until it says that this is all.
struct Outgoing {
  Outgoing(CompletionRequest parsed, const Tokenizer& tokenizer, const std::string& name)
      : request(std::move(parsed)), answer(request, tokenizer, name) {}

  bool more(httplib::DataSink& sink) {
    const auto write = [&](const std::string& text) {
      return text.empty() || sink.write(text.data(), text.size());
    };
    // That a reader has left is told by writing alone: a blank before JSON, a comment in a stream.
    std::optional<ServedPiece> piece = texts->next(kLook);
    if (const auto now = std::chrono::steady_clock::now(); now - looked >= kLook) {
      looked = now;
      if (!write(request.stream ? ":\n\n" : " ")) return false;
    }
    if (!piece) return true;
    if (!piece->error.empty()) {
      const std::string error = error_answer(500, piece->error);
      if (!write(request.stream ? "data: " + error + "\n\n" : error)) return false;
      sink.done();
      return true;
    }
    if (!write(answer.event(std::move(*piece)))) return false;
    if (!answer.complete()) return true;
    if (!write(request.stream ? answer.end() : answer.whole())) return false;
    sink.done();
    return true;
  }

  CompletionRequest request;
  CompletionAnswer answer;
  std::shared_ptr<ServedRequest> texts = {};
  std::chrono::steady_clock::time_point looked = std::chrono::steady_clock::now();
};

class HttpServer {
 public:
  HttpServer(const LanguageModel& model, const Tokenizer& tokenizer, const ServeOptions& options,
             std::int64_t context, Scheduler& scheduler)
      : tokenizer_(tokenizer), options_(options), scheduler_(scheduler) {
    limits_ = {context, options.texts, model.architecture().vocab};
    set_limits();
    guard();
    routes();
  }

  void run() {
    const int port = options_.port == 0 ? server_.bind_to_any_port(options_.host)
                     : server_.bind_to_port(options_.host, options_.port) ? options_.port
                                                                          : -1;
    if (port < 0)
      fail("serve", options_.host + ":" + std::to_string(options_.port) + ", which cannot be had",
           "an address of this machine and a free port", "--port 0 takes a free one");
    std::thread watch([&] { wait_for_stop(); });
    if (options_.on_ready) options_.on_ready(port);
    server_.listen_after_bind();
    ended_ = true;
    watch.join();
  }

 private:
  void set_limits() {
    // Readers and writers hold a thread each, and those that are refused want one too.
    const auto threads = static_cast<std::size_t>(options_.parallel + options_.queue + 16);
    server_.new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
    server_.set_payload_max_length(options_.body);
    server_.set_read_timeout(kReadSeconds);
    server_.set_write_timeout(kWriteSeconds);
    server_.set_keep_alive_timeout(2);
    server_.set_tcp_nodelay(true);
    // httplib's own options let a second server have the same port.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
  }

  bool allowed(const httplib::Request& request) const {
    if (options_.api_key.empty() || request.path == "/health") return true;
    const std::string given = request.get_header_value("Authorization");
    const std::string right = "Bearer " + options_.api_key;
    return given.size() == right.size() &&
           CRYPTO_memcmp(given.data(), right.data(), right.size()) == 0;
  }

  void guard() {
    using Handled = httplib::Server::HandlerResponse;
    server_.set_pre_routing_handler([this](const auto& request, auto& response) {
      if (allowed(request)) return Handled::Unhandled;
      refuse(response, 401, "no valid key in Authorization: Bearer");
      return Handled::Handled;
    });
    server_.set_exception_handler([](const auto&, auto& response, std::exception_ptr thrown) {
      try {
        std::rethrow_exception(thrown);
      } catch (const ApiError& error) {
        refuse(response, error.status, error.what(), error.param);
      } catch (const std::exception& error) {
        refuse(response, 500, error.what());
      }
    });
    server_.set_error_handler([](const auto& request, auto& response) {
      if (!response.body.empty()) return;
      const int status = response.status;
      refuse(response, status,
             status == 404   ? "no " + request.method + " " + request.path
             : status == 413 ? "the body is too long"
                             : "bad request");
    });
  }

  void routes() {
    server_.Get("/health", [this](const auto&, auto& response) {
      if (scheduler_.closed()) throw ApiError(503, "the server is ending");
      response.set_content(R"({"status":"ok"})", kJson);
    });
    server_.Get("/metrics", [this](const auto&, auto& response) {
      response.set_content(metrics_answer(scheduler_.counts(), scheduler_.open()),
                           "text/plain; version=0.0.4");
    });
    server_.Get("/v1/models", [this](const auto&, auto& response) {
      response.set_content(models_answer(options_.name), kJson);
    });
    server_.Post("/tokenize", [this](const auto& request, auto& response) {
      response.set_content(tokenize_answer(request.body, tokenizer_), kJson);
    });
    server_.Post("/v1/completions", [this](const auto& request, auto& response) {
      complete(parse_completion(request.body, tokenizer_, limits_), response);
    });
    server_.Post("/v1/chat/completions", [this](const auto& request, auto& response) {
      if (!options_.chat)
        throw ApiError(501, "the model has no chat template: --template FILE names one");
      complete(parse_chat(request.body, options_.chat, tokenizer_, limits_), response);
    });
  }

  void complete(CompletionRequest wanted_texts, httplib::Response& response) {
    auto out = std::make_shared<Outgoing>(std::move(wanted_texts), tokenizer_, options_.name);
    std::vector<Generation> wanted = out->request.generations();
    for (Generation& one : wanted) {
      const std::int64_t left = limits_.context - std::ssize(one.prompt);
      one.max_new = std::min(one.max_new, std::max<std::int64_t>(1, left));
    }
    out->texts = scheduler_.submit(std::move(wanted));
    response.set_chunked_content_provider(
        out->request.stream ? "text/event-stream" : kJson,
        [out](std::size_t, httplib::DataSink& sink) { return out->more(sink); },
        [out](bool) { out->texts->cancel(); });
  }

  /// What runs is answered before the server ends: httplib would cut it off.
  void wait_for_stop() {
    while (!ended_ && !(options_.stop_wanted && options_.stop_wanted()))
      std::this_thread::sleep_for(100ms);
    scheduler_.close();
    while (!ended_ && scheduler_.open() > 0) std::this_thread::sleep_for(20ms);
    server_.stop();
  }

  const Tokenizer& tokenizer_;
  const ServeOptions& options_;
  Scheduler& scheduler_;
  CompletionLimits limits_;
  httplib::Server server_;
  std::atomic<bool> ended_ = false;
};

}  // namespace

void serve(const LanguageModel& model, const Tokenizer& tokenizer, const ServeOptions& options) {
  constexpr std::int64_t kDefaultContext = 4096;
  const std::int64_t most = model.architecture().max_positions;
  const std::int64_t context =
      options.context == 0 ? std::min(most, kDefaultContext) : options.context;
  if (context < 1 || context > most)
    fail("context", std::to_string(context),
         "from 1 to " + std::to_string(most) + ", the model's context");
  EngineOptions wanted{.cache = options.cache, .independent = true};
  // A text that fills the context has one more token.
  wanted.room = options.parallel * wanted.taken(std::min(most, context + 1));
  Engine engine(model, wanted);
  Scheduler scheduler(engine, tokenizer, {options.parallel, options.queue, options.seconds});
  HttpServer(model, tokenizer, options, context, scheduler).run();
}

}  // namespace karat
