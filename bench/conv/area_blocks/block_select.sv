// A byte of a line from one of two places, gated.
module block_select (
  input  logic clk_i,
  input  logic takes_i,
  input  logic image_i,
  input  logic [7:0] held_i,
  input  logic [7:0] image_byte_i,
  output logic [7:0] byte_o
);
  always_ff @(posedge clk_i) byte_o <= image_i ? image_byte_i : held_i & {8{takes_i}};
endmodule
