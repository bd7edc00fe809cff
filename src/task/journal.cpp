#include "task/journal.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

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

/// The first line of a file of items, which says whose they are; null: it is something else.
json header_of(const fs::path& path) try {
  if (!fs::is_regular_file(fs::symlink_status(path))) return nullptr;
  const std::string text = read_text(path);
  json header = json::parse(text.substr(0, text.find('\n')));
  return header.contains("karat_items") ? header : nullptr;
} catch (const std::exception&) {
  return nullptr;
}

}  // namespace

std::string not_items(const fs::path& path) {
  return header_of(path).is_null() ? "no items in it" : "";
}

void Journal::check(const Output& output) {
  if (!output.path.empty() && header_of(output.path).is_null())
    check_output(output, OutputKind::file);
}

std::string Journal::key(int model, const std::string& task, const std::string& group,
                         std::int64_t row) {
  return std::to_string(model) + '\n' + task + '\n' + group + '\n' + std::to_string(row);
}

Journal::Journal(const Output& output, const ordered_json& header) : path_(output.path) {
  if (path_.empty()) return;
  const json there = header_of(path_);
  if (there == json(header)) {
    std::string text = read_text(path_);
    text.resize(text.rfind('\n') + 1);  // what follows was not finished
    read(text);
    fs::resize_file(path_, text.size());
  } else if (!there.is_null() && !output.replace) {
    fail("write " + path_.string(), "items of other models, data or options",
         "those of this command, or none", "name another file, or pass --force to replace them");
  } else {
    write_output(output, header.dump() + '\n');
  }
  file_.reset(std::fopen(path_.c_str(), "ab"));
  if (!file_)
    fail("write", path_.string() + " (" + std::strerror(errno) + ")", "a writable path");
}

void Journal::read(std::string_view text) {
  for (Lines lines(text); lines.next();) {
    if (lines.number() == 1) continue;  // the header
    const std::string where = path_.string() + ":" + std::to_string(lines.number());
    const json content = parse_json(lines.line(), where);
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
           "once it can be written, the same command goes on from here");
  }
  std::string name = key(model, item.task, item.group, item.row);
  items_[std::move(name)] = std::move(item);
}

}  // namespace karat
