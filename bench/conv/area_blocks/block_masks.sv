// A channel's masks of the bits below its last place, and of those that saturate its code.
module block_masks #(
  parameter int Width = 24,
  parameter int Least = 1,
  parameter int RightBits = 3
) (
  input  logic clk_i,
  input  logic [(RightBits > 0 ? RightBits : 1)-1:0] right_i,
  output logic [Width-1:0] below_o,
  output logic [Width-1:0] outer_o
);
  always_ff @(posedge clk_i) begin
    below_o <= RightBits > 0 ? ((Width'(1) << Least) << right_i) - 1 : (Width'(1) << Least) - 1;
    outer_o <= RightBits > 0 ? ({Width{1'b1}} << (Least + 8)) << right_i : {Width{1'b1}} << (Least + 8);
  end
endmodule
