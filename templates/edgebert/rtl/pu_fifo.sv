// First in, first out: 2^AddrWidth entries, valid/ready on both sides, no path from in to out.
// Both are registers: what hangs on them begins there.
module pu_fifo #(
  parameter int unsigned Width = 8,
  parameter int unsigned AddrWidth = 2
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic in_valid_i,
  output logic in_ready_o,
  input  logic [Width-1:0] in_data_i,
  output logic out_valid_o,
  input  logic out_ready_i,
  output logic [Width-1:0] out_data_o
);
  logic [Width-1:0] mem [2**AddrWidth];
  logic [AddrWidth-1:0] head_q, tail_q;
  logic [AddrWidth:0] used_q;
  logic push, pop;
  assign out_data_o = mem[tail_q];
  assign push = in_valid_i && in_ready_o;
  assign pop = out_valid_o && out_ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      head_q <= '0;
      tail_q <= '0;
      used_q <= '0;
      in_ready_o <= 1'b1;
      out_valid_o <= 1'b0;
    end else begin
      if (push) head_q <= head_q + 1'b1;
      if (pop) tail_q <= tail_q + 1'b1;
      if (push && !pop) begin
        used_q <= used_q + 1'b1;
        in_ready_o <= used_q != (AddrWidth+1)'(2 ** AddrWidth - 1);
        out_valid_o <= 1'b1;
      end else if (pop && !push) begin
        used_q <= used_q - 1'b1;
        in_ready_o <= 1'b1;
        out_valid_o <= used_q != (AddrWidth+1)'(1);
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (push) mem[head_q] <= in_data_i;
  end
endmodule
