#include "devices/bm1684/operation.h"

#include "devices/bm1684/codes.h"
#include "engine/errors.h"

namespace bittrue::bm1684 {

void not_implemented(const std::string& what) { throw UnsupportedError("not implemented: " + what); }

std::unique_ptr<Operation> make_operation(const BdcCommand& command, const Memory&) {
  if (command.opt_res_add) not_implemented("accumulation into the result (opt_res_add)");
  if (~command.tsk_lane_num) not_implemented("a mask of lanes");
  if (command.opt_winograd) not_implemented("winograd");
  if (command.res0_h_shift || command.res0_w_shift || command.opd0_h_shift || command.opd0_w_shift ||
      command.opd1_h_shift || command.opd1_w_shift)
    not_implemented("h/w shift fields");
  switch (static_cast<Task>(command.tsk_typ)) {
    case Task::conv:
      return make_convolution(command);
    case Task::depthwise:
      return make_window(command);
    case Task::matmul:
      return make_matmul(command);
    case Task::arithmetic:
      return make_arithmetic(command);
    case Task::lookup:
      return make_lookup(command);
    case Task::md_scalar:
      return make_scalar(command);
    case Task::md_sfu:
      return make_sfu(command);
    case Task::md_compare:
      return make_compare(command);
  }
  not_implemented("task type " + std::to_string(command.tsk_typ));
}

}  // namespace bittrue::bm1684
