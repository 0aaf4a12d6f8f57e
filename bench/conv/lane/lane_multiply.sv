// A multiplier as an operator; combinational.
module lane_multiply #(
  parameter int Bits = 8
) (
  input  logic signed [8:0] x_i,
  input  logic signed [Bits-1:0] weight_i,
  output logic signed [Bits+7:0] product_o
);
  assign product_o = x_i * weight_i;
endmodule
