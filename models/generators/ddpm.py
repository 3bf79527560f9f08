"""wip"""
import numpy as np
import torch
from torch import Tensor
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from assets.progress import counter
from models.generators.training import Average, Batches, initialised_from, one_cycle

def unet(side, channels, layers, inc, attention=False, groups=8, dim=8):
    n=len(channels)
    down=["DownBlock2D"]*n; up=["UpBlock2D"]*n
    if attention: down[-1]="AttnDownBlock2D"; up[0]="AttnUpBlock2D"
    return UNet2DModel(sample_size=side,in_channels=inc,out_channels=inc,layers_per_block=layers,block_out_channels=channels,
        down_block_types=tuple(down),up_block_types=tuple(up),norm_num_groups=groups,attention_head_dim=dim,add_attention=attention)

CLAMP=0.1
def train_denoiser(model, scheduler, draw, batches, steps, lr, span, what, log=None):
    """draw(step) -> x0 """
    avg=Average(model,span)
    opt=torch.optim.AdamW(model.parameters(),lr,betas=(0.9,0.99),weight_decay=1e-3)
    T=scheduler.config.num_train_timesteps
    run=0
    with counter(what,steps,"steps") as bar:
        for step in range(steps):
            one_cycle(opt,lr,step,steps)
            x0=draw(step)
            n=len(x0)
            t=((torch.arange(n)+batches.uniform(n).cpu())/n*T).long().to(x0.device)   # stratified
            noise=batches.normal(*x0.shape)
            xt=scheduler.add_noise(x0,noise,t)
            guess=model(xt.contiguous(memory_format=torch.channels_last),t).sample
            if scheduler.config.prediction_type=="sample":
                s2=(1-scheduler.alphas_cumprod[t]).clamp(min=CLAMP)
                loss=((guess-x0).square().mean((1,2,3))/s2).mean()
            else:
                loss=(guess-scheduler.get_velocity(x0,noise,t)).square().mean()
            opt.zero_grad(); loss.backward(); torch.nn.utils.clip_grad_norm_(model.parameters(),1.0); opt.step()
            avg.update(model)
            run=0.98*run+0.02*loss.item() if step else loss.item()
            if log and step%50==0: log(step,run)
            bar.update()
    return avg.model

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d import UNet2DOutput
from torch import nn
class PatchUNet(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(self, sample_size=64, in_channels=3, patch=2, channels=(32,64), layers=1, groups=8, attention=False):
        super().__init__()
        self.body=unet(sample_size//patch, channels, layers, in_channels*patch**2, groups=groups, attention=attention)
    def forward(self, sample, timestep):
        p=self.config.patch
        x=nn.functional.pixel_unshuffle(sample,p).contiguous(memory_format=torch.channels_last)
        return UNet2DOutput(sample=nn.functional.pixel_shuffle(self.body(x,timestep).sample,p))

def fit(images,out,o,seed,device,log=None):
    side=images.shape[1]
    batches=Batches(images,seed,device)
    with initialised_from(seed,"ddpm"):
        model=PatchUNet(side,3,o.get('patch',2),o['channels'],groups=o.get('groups',4),attention=o.get('attention',False))
    model=model.to(memory_format=torch.channels_last)
    sch=DDIMScheduler(num_train_timesteps=1000,beta_schedule="squaredcos_cap_v2",prediction_type=o.get("pred","sample"),clip_sample=True,set_alpha_to_one=True,timestep_spacing="trailing",rescale_betas_zero_snr=False)
    steps=o['steps']; full=int(steps*(1-o.get('full',0.15)))
    def draw(step):
        return batches.draw(o['batch'],side//2) if step<full else batches.draw(o['batch']//4)
    m=train_denoiser(model,sch,draw,batches,steps,o['lr'],o.get('span',100),"fit ddpm",log)
    return DDIMPipeline(m.eval(),sch)
