#include "task/journal.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/file.h"
#include "core/lines.h"
#include "karat/error.h"
#include "load/json.h"

namespace karat {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

ordered_json to_line(int model, const ItemResult& item) {
  ordered_json line{{"model", model}, {"task", item.task}};
  if (!item.group.empty()) line["group"] = item.group;
  line["row"] = item.row;
  if (!item.scores.empty()) {
    line["gold"] = item.gold;
    for (const Score& score : item.scores) {
      line["loglikelihoods"].push_back(score.loglikelihood);
      line["greedy"].push_back(score.greedy);
    }
    line["lengths"] = item.lengths;
  } else {
    line["response"] = item.response;
  }
  line["metrics"] = item.metrics;
  return line;
}

ItemResult from_line(const json& line) {
  ItemResult item;
  item.task = line.at("task");
  item.group = line.value("group", "");
  item.row = line.at("row");
  item.gold = line.value("gold", std::int64_t{0});
  item.response = line.value("response", "");
  if (line.contains("loglikelihoods")) {
    item.lengths = line.at("lengths").get<std::vector<std::int64_t>>();
    for (std::size_t i = 0; i < line.at("loglikelihoods").size(); ++i)
      item.scores.push_back({line["loglikelihoods"][i], line.at("greedy").at(i)});
  }
  item.metrics = line.at("metrics").get<std::map<std::string, double>>();
  return item;
}

}  // namespace

std::string Journal::key(int model, const std::string& task, const std::string& group,
                         std::int64_t row) {
  return std::to_string(model) + '\n' + task + '\n' + group + '\n' + std::to_string(row);
}

Journal::Journal(const fs::path& path, const ordered_json& header) : path_(path) {
  if (path.empty()) return;
  std::string text;
  if (fs::exists(path)) text = read_text(path);
  const std::string first = header.dump() + '\n';
  const std::size_t whole = text.rfind('\n') == text.npos ? 0 : text.rfind('\n') + 1;
  if (whole == 0 && !first.starts_with(text))  // no line of ours that was cut off
    fail("read " + path.string(), "a file of something else", "items of this command",
         "name another file");
  text.resize(whole);
  read(text, header);
  if (fs::exists(path)) fs::resize_file(path, text.size());
  file_.reset(std::fopen(path.c_str(), "ab"));
  if (!file_ || (text.empty() && std::fputs(first.c_str(), file_.get()) < 0))
    fail("write", path.string() + " (" + std::strerror(errno) + ")", "a writable path");
}

void Journal::read(std::string_view text, const ordered_json& header) {
  const std::string path = path_.string();
  bool first = true;
  for (Lines lines(text); lines.next();) {
    const std::string where = path + ":" + std::to_string(lines.number());
    const json content = parse_json(lines.line(), where);
    if (std::exchange(first, false)) {
      if (content != json(header))
        fail("read " + path, "items of other models, data or options", "those of this command",
             "name another file, or remove this one");
      continue;
    }
    try {
      ItemResult item = from_line(content);
      const int model = content.at("model");
      items_[key(model, item.task, item.group, item.row)] = std::move(item);
      ++resumed_;
    } catch (const json::exception&) {
      fail("read " + where, "a line that is no item", "a file that karat evaluate wrote");
    }
  }
}

const ItemResult* Journal::find(int model, const std::string& task, const std::string& group,
                                std::int64_t row) const {
  const auto found = items_.find(key(model, task, group, row));
  return found == items_.end() ? nullptr : &found->second;
}

void Journal::add(int model, ItemResult item) {
  if (file_) {
    const std::string line =
        to_line(model, item).dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
    if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() ||
        std::fflush(file_.get()) != 0)
      fail("write", path_.string() + " (" + std::strerror(errno) + ")", "room for the items",
           "free disk space and repeat the command: it goes on from here");
  }
  std::string name = key(model, item.task, item.group, item.row);
  items_[std::move(name)] = std::move(item);
}

}  // namespace karat
