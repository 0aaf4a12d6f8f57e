// One shifter: x * 2^shift, zero without keep; combinational.
// Negative: the complement, -x - 1 (Twos = 0; the ones are in the bias), or -x (Twos = 1).
module lane_shift #(
  parameter bit Twos = 1'b0
) (
  input  logic signed [8:0] x_i,
  input  logic [2:0] shift_i,
  input  logic keep_i,
  input  logic flip_i,
  output logic signed [15:0] product_o
);
  logic signed [15:0] wide, kept;
  assign wide = 16'(x_i);
  assign kept = (wide << shift_i) & {16{keep_i}};
  assign product_o = Twos ? (flip_i ? -kept : kept) : kept ^ {16{flip_i}};
endmodule
