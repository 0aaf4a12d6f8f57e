// The ports of Yosys' cell of half an ALM in arithmetic mode (intel_alm/common/alm_sim.v).
module MISTRAL_ALUT_ARITH #(
  parameter logic [15:0] LUT0 = 16'h0,
  parameter logic [15:0] LUT1 = 16'h0
) (
  input  logic A,
  input  logic B,
  input  logic C,
  input  logic D0,
  input  logic D1,
  input  logic CI,
  output logic SO,
  output logic CO
);
endmodule
