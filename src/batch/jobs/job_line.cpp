#include "brume/batch/job_line.h"

#include <nlohmann/json.hpp>
#include <variant>

#include "fields.h"

namespace brume::batch {

std::string to_json_line(const Job& job, const Remarks& remarks) {
  using nlohmann::ordered_json;
  ordered_json line = ordered_json::object();
  if (!job.id.empty()) line[std::string(kId)] = job.id;
  for (const Field& field : fields()) {
    std::visit(
        [&](auto member) {
          if (const auto& value = job.settings.*member) line[std::string(field.name)] = *value;
        },
        field.member);
  }
  for (const auto& [name, text] : remarks) line["_" + name] = text;
  return line.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace brume::batch
