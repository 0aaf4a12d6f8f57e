// A weight's code of a tap from its half of a byte, as what shifters take; registered.
module block_decode (
  input  logic clk_i,
  input  logic high_i,
  input  logic [7:0] both_i,
  output logic [2:0] shift_o,
  output logic keep_o,
  output logic flip_o
);
  logic [3:0] code;
  assign code = high_i ? both_i[7:4] : both_i[3:0];
  always_ff @(posedge clk_i) begin
    shift_o <= code[2:0] - 3'd1;
    keep_o <= code[2:0] != 3'd0;
    flip_o <= code[3];
  end
endmodule
